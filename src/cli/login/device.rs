//! The sign-in with a code on another device (RFC 8628): the code is shown large, and the service is asked at its own pace.

use tokio::time::sleep;

use super::{Scene, Stopped, interrupted};
use crate::cli::finding::{Finding, words};
use crate::cli::screen::one_line;
use crate::oauth::answer::Tokens;
use crate::oauth::device::{DeviceFailure, DevicePolling, DeviceStep};
use crate::oauth::fault::{self, TokenError};
use crate::oauth::{exchange, request};

/// Shows the code, and waits until the person has typed it.
pub(super) async fn sign_in(scene: &Scene<'_>) -> Result<Tokens, Stopped> {
    let Some(url) = &scene.oauth.device else {
        let text = "the settings name no end point for device codes".to_owned();
        return Err(TokenError::Refused { verdict: fault::CLIENT_SECRET, text }.into());
    };
    let form = request::device_code(&scene.client, &scene.oauth.scope);
    let code = tokio::select! {
        code = exchange::device_code(scene.oauth, url, &form) => code?,
        stopped = interrupted() => return Err(stopped),
    };
    let (place, letters, minutes) = (one_line(&code.place), one_line(&code.user_code), code.lives.as_secs() / 60);
    let user = one_line(&scene.oauth.user);
    scene.tell(
        &format!(
            "\nTo sign in for {user}:\n\n  1. Open this address on any computer or phone:\n\n         {place}\n\n  2. Type this code:\n\n         {letters}\n\n  \
             3. Sign in as {user}, and accept.\n\nThe code is good for {minutes} minutes. Waiting; Ctrl-C gives up and stores nothing."
        ),
        &format!(
            "\n为 {user} 登录：\n\n  1. 在任意电脑或手机上打开：\n\n         {place}\n\n  2. 输入代码：\n\n         {letters}\n\n  \
             3. 以 {user} 登录并同意。\n\n代码 {minutes} 分钟内有效。正在等待；按 Ctrl-C 取消，不保存任何内容。"
        ),
    );
    let form = request::device_poll(&scene.client, &code.code);
    let (mut polling, mut step) = DevicePolling::new(&code);
    loop {
        match step {
            DeviceStep::Done(tokens) => return Ok(*tokens),
            DeviceStep::Failed(failure) => return Err(failed(failure)),
            DeviceStep::Wait(pause) => {
                let asked = async {
                    sleep(pause).await;
                    exchange::tokens(scene.oauth, &form).await
                };
                tokio::select! {
                    answer = asked => step = polling.answered(answer),
                    stopped = interrupted() => return Err(stopped),
                }
            }
        }
    }
}

fn failed(failure: DeviceFailure) -> Stopped {
    let (what, cause) = match failure {
        DeviceFailure::Refused(refusal) => return refusal.into(),
        DeviceFailure::Expired => {
            (words("the code has ended", "代码已失效"), words("it was not typed in time", "没有及时输入"))
        }
        DeviceFailure::Declined => (
            words("the sign-in was declined", "登录被拒绝"),
            words("the person, or a rule of the organisation, said no", "本人未同意，或组织的规则不允许"),
        ),
    };
    let remedy = words(
        "run the command again, and accept within its time; nothing was stored",
        "请重新运行该命令并及时同意；没有保存任何内容",
    );
    Stopped::Person(Finding::fail("token", what, cause, remedy))
}

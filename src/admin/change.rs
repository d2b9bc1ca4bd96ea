//! Changes of messages: one by its id, or many by ids or by a filter.
//!
//! Invariants: a filter changes nothing unless it matches the expected number of messages, and at most [`MOST`]; an empty
//! filter is refused, so that no mistake changes everything. A message that cannot be changed is skipped and reported; the
//! others are changed.

use std::collections::{HashMap, HashSet};

use tokio::task::JoinSet;

use crate::language::words;
use crate::mail::Id;
use crate::queue::{HoldReason, MessageSearch, MessageState, QueueError, SearchOrder};

use super::Admin;
use super::command::{MessageChange, Selection, some_of};
use super::conditions::{self, LARGEST_PAGE, MessageConditions};
use super::error::{AdminError, ErrorCode};
use super::reply::{AdminReply, Skipped};
use super::view::MessageStatus;

/// The most messages that one command changes.
pub const MOST: usize = 10_000;
/// Changes under way at the same time: the queue writes them in one transaction.
const AT_ONCE: usize = 64;
/// The most messages that an answer shows as still waiting.
const SHOWN_WAITING: usize = 100;
/// The longest reason, in octets.
const LONGEST_REASON: usize = 500;

impl MessageChange {
    /// The states of the messages that a filter finds for this change.
    pub fn states(self) -> &'static [MessageState] {
        use MessageState::{Deferred, Failed, Held, Queued, Sending, Waiting};
        match self {
            MessageChange::Hold => &[Queued, Sending, Waiting, Deferred],
            MessageChange::Release => &[Held],
            MessageChange::Retry => &[Queued, Sending, Waiting, Deferred, Held, Failed],
            MessageChange::Drop => &MessageState::ALL,
        }
    }

    /// The conditions with the states that this change is for: what a filter finds. An operator who is asked first sees the
    /// number of these.
    ///
    /// # Errors
    /// There is no condition, a state is unknown, or the change does nothing in any of the named states.
    pub fn narrowed(self, filter: &MessageConditions) -> Result<MessageConditions, AdminError> {
        if filter.is_empty() {
            return Err(no_condition());
        }
        let named = filter.state.iter().map(|name| conditions::state(name)).collect::<Result<Vec<_>, _>>()?;
        let fits = |state: &&MessageState| named.is_empty() || named.contains(state);
        let state: Vec<String> = self.states().iter().filter(fits).map(|state| state.name().to_owned()).collect();
        match state.is_empty() {
            true => Err(self.other_states()),
            false => Ok(MessageConditions { state, ..filter.clone() }),
        }
    }

    fn other_states(self) -> AdminError {
        let names: Vec<&str> = self.states().iter().map(|state| state.name()).collect();
        let (name, names) = (self.name(), names.join(", "));
        AdminError::new(
            ErrorCode::WrongState,
            words(
                format!("`{name}` does nothing with messages in these states"),
                format!("`{name}` 对这些状态的邮件无效"),
            ),
            words(format!("it is for: {names}"), format!("适用的状态：{names}")),
        )
    }
}

fn no_condition() -> AdminError {
    AdminError::new(
        ErrorCode::BadFilter,
        words("a change of many messages needs at least one condition", "批量操作至少需要一个条件"),
        words(
            "name an ID or more, or a condition such as --client NAME or --state deferred",
            "请写出一个或多个编号（ID），或条件，例如 --client 名称 或 --state deferred",
        ),
    )
}

/// `34 messages match`.
pub fn matches(count: u64) -> String {
    if count == 1 { "1 message matches".to_owned() } else { format!("{count} messages match") }
}

fn too_many(count: u64) -> AdminError {
    AdminError::new(
        ErrorCode::TooMany,
        words(
            format!("{}, and one command changes at most {MOST}", matches(count)),
            format!("有 {count} 封邮件符合，而一次最多处理 {MOST} 封"),
        ),
        words("narrow it with --since and --until, and repeat it", "请用 --since 和 --until 缩小范围，分几次执行"),
    )
}

fn unexpected(count: u64, expect: u64) -> AdminError {
    AdminError::new(
        ErrorCode::CountDiffers,
        words(
            format!("{}, not {expect}; nothing was changed", matches(count)),
            format!("有 {count} 封邮件符合，不是 {expect} 封；未作任何更改"),
        ),
        words(
            format!("look at them with the same conditions, then repeat the command with --expect {count}"),
            format!("请用同样的条件查看，然后用 --expect {count} 重新执行"),
        ),
    )
}

fn count_needed(count: u64) -> AdminError {
    AdminError::new(
        ErrorCode::CountNeeded,
        words(
            format!("{}; nothing was changed without the expected number", matches(count)),
            format!("有 {count} 封邮件符合；没有给出预期数量，未作任何更改"),
        ),
        words(format!("repeat the command with --expect {count}"), format!("请用 --expect {count} 重新执行")),
    )
}

/// Changes the messages; the text names those that a filter has found.
pub(super) async fn change(
    admin: &Admin,
    change: MessageChange,
    which: Selection,
    expect: Option<u64>,
    reason: Option<String>,
) -> (Result<AdminReply, AdminError>, String) {
    let mut affected = String::new();
    let reply = async {
        let reason = reason.unwrap_or_default();
        if reason.len() > LONGEST_REASON {
            return Err(QueueError::TooLong { what: "the reason", limit: LONGEST_REASON }.into());
        }
        let (ids, odd) = match which {
            Selection::Ids(ids) => read_ids(ids, expect)?,
            Selection::Filter(filter) => {
                let ids = matching(admin, &change.narrowed(&filter)?, expect).await?;
                let names: Vec<String> = ids.iter().map(Id::to_string).collect();
                affected = format!("{} messages {}", names.len(), some_of(&names)).trim_end().to_owned();
                (ids, Vec::new())
            }
        };
        Ok(apply(admin, change, ids, odd, &reason).await)
    };
    let reply = reply.await;
    (reply, affected)
}

/// The ids that can be read, each once, and the others as skipped messages.
fn read_ids(texts: Vec<String>, expect: Option<u64>) -> Result<(Vec<Id>, Vec<Skipped>), AdminError> {
    let mut seen = HashSet::new();
    let texts: Vec<String> = texts.into_iter().filter(|text| seen.insert(text.clone())).collect();
    let count = texts.len() as u64;
    match expect {
        _ if texts.is_empty() => return Err(no_condition()),
        _ if texts.len() > MOST => return Err(too_many(count)),
        Some(expect) if expect != count => return Err(unexpected(count, expect)),
        Some(_) | None => {}
    }
    let (mut ids, mut odd) = (Vec::with_capacity(texts.len()), Vec::new());
    for text in texts {
        match conditions::id(&text) {
            Ok(id) => ids.push(id),
            Err(error) => odd.push(skipped(text.chars().take(40).collect(), &error)),
        }
    }
    Ok((ids, odd))
}

/// The messages that the conditions find, oldest first.
async fn matching(admin: &Admin, filter: &MessageConditions, expect: Option<u64>) -> Result<Vec<Id>, AdminError> {
    let search = filter.search(admin.accounts.as_ref(), admin.clock.now())?;
    let mut search = MessageSearch { order: SearchOrder::OldestFirst, limit: LARGEST_PAGE, ..search };
    let mut ids = Vec::new();
    loop {
        let page = admin.queue.search(search.clone()).await?;
        match expect {
            None if ids.is_empty() && page.total <= MOST as u64 => return Err(count_needed(page.total)),
            _ if page.total > MOST as u64 => return Err(too_many(page.total)),
            Some(expect) if ids.is_empty() && expect != page.total => return Err(unexpected(page.total, expect)),
            Some(_) | None => {}
        }
        ids.extend(page.entries.iter().map(|entry| entry.id));
        if page.next.is_none() {
            break;
        }
        search.after = page.next;
    }
    // Messages may have come and gone between the pages.
    match expect {
        Some(expect) if expect != ids.len() as u64 => Err(unexpected(ids.len() as u64, expect)),
        Some(_) | None => Ok(ids),
    }
}

fn skipped(id: String, error: &AdminError) -> Skipped {
    Skipped { id, code: error.code, message: error.sentence() }
}

/// Changes these messages, some at a time.
async fn apply(admin: &Admin, change: MessageChange, ids: Vec<Id>, odd: Vec<Skipped>, reason: &str) -> AdminReply {
    let mut results: HashMap<Id, Result<Option<MessageStatus>, AdminError>> = HashMap::with_capacity(ids.len());
    let mut tasks = JoinSet::new();
    for &id in &ids {
        if tasks.len() >= AT_ONCE
            && let Some(Ok((id, result))) = tasks.join_next().await
        {
            results.insert(id, result);
        }
        let (admin, reason) = (admin.clone(), reason.to_owned());
        tasks.spawn(async move { (id, one(&admin, change, id, reason).await.map_err(AdminError::from)) });
    }
    while let Some(ended) = tasks.join_next().await {
        results.extend(ended);
    }
    let (mut changed, mut skips, mut still_waiting) = (0, odd, Vec::new());
    for id in ids {
        match results.remove(&id) {
            Some(Ok(waits)) => {
                changed += 1;
                still_waiting.extend(waits.filter(|_| still_waiting.len() < SHOWN_WAITING));
            }
            Some(Err(error)) => skips.push(skipped(id.to_string(), &error)),
            // A task that panicked: the log says where.
            None => skips.push(skipped(id.to_string(), &QueueError::Database("see the log".to_owned()).into())),
        }
    }
    AdminReply::Changed { changed, skipped: skips, still_waiting }
}

/// Changes one message; returns it when it is due now and still waits.
async fn one(
    admin: &Admin,
    change: MessageChange,
    id: Id,
    reason: String,
) -> Result<Option<MessageStatus>, QueueError> {
    let now = admin.clock.now();
    match change {
        MessageChange::Hold => admin.queue.hold_message(id, HoldReason::Operator, reason).await.map(|()| None),
        MessageChange::Drop => admin.queue.drop_message(id).await.map(|()| None),
        MessageChange::Release => {
            admin.queue.release(id, now).await?;
            rerouted(admin, id).await
        }
        MessageChange::Retry => {
            admin.queue.retry(id, now).await?;
            rerouted(admin, id).await
        }
    }
}

/// Gives a message that is due again a pool of the settings; returns it when it still waits.
async fn rerouted(admin: &Admin, id: Id) -> Result<Option<MessageStatus>, QueueError> {
    // It may be gone already: it is due.
    let Ok((mut entry, ..)) = admin.queue.show(id).await else { return Ok(None) };
    // A final message keeps its pool when the settings change. No account leases from one that they do not have.
    if let Some(pool) = admin.accounts.new_pool(&entry) {
        admin.queue.assign(vec![(id, pool)]).await?;
        (entry, ..) = admin.queue.show(id).await?;
    }
    // It is due now; a budget or an account that keeps it back does so still.
    Ok((entry.state == MessageState::Waiting).then(|| MessageStatus::from(&entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_states(states: &[&str]) -> MessageConditions {
        let state = states.iter().map(|name| (*name).to_owned()).collect();
        MessageConditions { state, ..MessageConditions::default() }
    }

    #[test]
    fn a_filter_finds_only_what_the_change_is_for() {
        let client = MessageConditions { client: Some("ups".into()), ..MessageConditions::default() };
        assert_eq!(MessageChange::Release.narrowed(&client).unwrap().state, ["held"]);
        assert_eq!(MessageChange::Drop.narrowed(&client).unwrap().state.len(), 7);
        assert!(!MessageChange::Retry.narrowed(&client).unwrap().state.contains(&"delivered".to_owned()));
        let both = of_states(&["deferred", "delivered"]);
        assert_eq!(MessageChange::Hold.narrowed(&both).unwrap().state, ["deferred"]);
        let error = MessageChange::Hold.narrowed(&of_states(&["delivered"])).unwrap_err();
        assert_eq!((error.code, error.to_string().contains("queued")), (ErrorCode::WrongState, true));
        assert_eq!(MessageChange::Hold.narrowed(&of_states(&["lost"])).unwrap_err().code, ErrorCode::BadState);
    }

    #[test]
    fn an_empty_filter_changes_nothing() {
        for change in MessageChange::ALL {
            let error = change.narrowed(&MessageConditions::default()).unwrap_err();
            assert_eq!(error.code, ErrorCode::BadFilter);
        }
        assert_eq!(read_ids(Vec::new(), None).unwrap_err().code, ErrorCode::BadFilter);
    }

    #[test]
    fn ids_are_read_once_each_and_counted() {
        let id = "0mwqqovrlykg0q2v".to_owned();
        let (ids, odd) = read_ids(vec![id.clone(), "x".repeat(9000), id.clone()], None).unwrap();
        assert_eq!((ids.len(), odd.len(), odd[0].id.len(), odd[0].code), (1, 1, 40, ErrorCode::BadId));
        assert_eq!(read_ids(vec![id.clone()], Some(2)).unwrap_err().code, ErrorCode::CountDiffers);
        let many = (0..=MOST).map(|n| n.to_string()).collect();
        assert_eq!(read_ids(many, None).unwrap_err().code, ErrorCode::TooMany);
    }
}

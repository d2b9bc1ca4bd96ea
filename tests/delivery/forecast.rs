//! A message that waits shows when it will go, and goes then: the line and the budget, with real figures.

use std::time::Duration;

use crate::support::day::Day;
use crate::support::office::Office;
use yizhan::admin::{Admin, AdminCommand, AdminReply, Caller, MessageConditions, Order};
use yizhan::provider::Windows;
use yizhan::queue::MessageState;
use yizhan::sandbox::SandboxLimits;

const MAIL: &[u8] = b"From: scanner@office.lan\r\nSubject: scan\r\n\r\npage\r\n";

/// What the list says of each message: its state and when it will go.
async fn told(office: &Office, day: &Day, order: AdminCommand) -> Vec<(String, String, Option<String>)> {
    let admin = Admin::new(office.relay.queue(), std::sync::Arc::new(office.relay.delivery().clone()), day.clock());
    match admin.carry_out(&Caller::offline(), order).await.reply {
        AdminReply::Messages { messages, .. } => messages.into_iter().map(|m| (m.id, m.state, m.next)).collect(),
        AdminReply::Message { message, .. } => vec![(message.id, message.state, message.next)],
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_message_of_a_line_says_its_own_time_and_keeps_to_it() {
    let day = Day::new();
    let office = Office::at(day.clock(), "forecast", SandboxLimits::default(), |settings| {
        let messages = Windows { minute: Some(2), hour: Some(8), day: Some(1000) };
        settings.accounts[0].budget.messages = messages;
    })
    .await;
    for _ in 0..12 {
        office.send(&["a@else.test"], MAIL).await;
        // Ids of one and the same millisecond are in no order.
        day.clock().advance(Duration::from_millis(5));
    }
    day.rest().await;
    let filter = MessageConditions { state: vec!["waiting".into()], ..MessageConditions::default() };
    let list = |order| AdminCommand::Messages { filter: filter.clone(), order, cursor: None, limit: 0 };
    let waiting = told(&office, &day, list(Order::Oldest)).await;
    let mut newest = told(&office, &day, list(Order::Newest)).await;
    newest.reverse();
    assert_eq!(newest, waiting, "the order of the list changes no forecast");
    assert!(waiting.len() >= 9, "two go at once, the others wait: {waiting:?}");
    for (id, state, next) in &waiting {
        assert_eq!(state, "waiting");
        let shown = told(&office, &day, AdminCommand::Show { id: id.clone() }).await;
        assert_eq!(&shown[0].2, next, "list and show tell the same");
    }
    let times: Vec<&String> = waiting.iter().filter_map(|(_, _, next)| next.as_ref()).collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]) && times.first() < times.last(), "{times:?}");
    day.run_until(day.at(3, 0)).await;
    for (id, _, next) in &waiting {
        let id = yizhan::mail::Id::parse(id).expect("an id");
        let entry = office.entry(id).await;
        assert_eq!(entry.state, MessageState::Delivered);
        let mut went = entry.recipients.iter().filter_map(|one| match &one.outcome {
            yizhan::queue::RecipientOutcome::Delivered { at, .. } => Some(*at),
            _ => None,
        });
        let went = went.next().expect("it was delivered");
        let near = [Duration::ZERO, Duration::from_secs(61)].map(|by| (went - by).rfc3339());
        let next = next.as_ref().expect("a time");
        assert!(
            &near[1] <= next && next <= &(went + Duration::from_secs(61)).rfc3339(),
            "said {next}, went {}",
            near[0]
        );
    }
}

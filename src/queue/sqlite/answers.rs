//! What operators and the delivery ask of the queue: accounts, lists, searches, commands. Each call goes to the writer or, by
//! way of it, to the reader.

use std::net::IpAddr;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::mail::{Id, Lane};
use crate::queue::{
    AccountState, AccountStore, AccountUsage, AuditFilter, AuditLog, AuditPage, AuditRecord, Inspection, MessageFilter,
    MessageSearch, QueueDepth, QueueEntry, QueueFuture, SearchPage, StoredBody,
};

use super::write::Write;
use super::writer::Writer;
use super::{SqliteQueue, command_log, settlement};

impl AccountStore for SqliteQueue {
    fn add_usage(&self, usage: AccountUsage) -> QueueFuture<'_, ()> {
        self.write(Write::AddUsage(usage))
    }

    fn usage(&self, account: String, since: Timestamp) -> QueueFuture<'_, Vec<AccountUsage>> {
        self.read(move |conn| settlement::usage(conn, &account, since))
    }

    fn save_account_state(&self, state: AccountState) -> QueueFuture<'_, ()> {
        self.write(Write::SaveAccountState(state))
    }

    fn account_states(&self) -> QueueFuture<'_, Vec<AccountState>> {
        self.read(settlement::account_states)
    }
}

impl Inspection for SqliteQueue {
    fn list(&self, filter: MessageFilter) -> QueueFuture<'_, Vec<QueueEntry>> {
        self.inspect(false, false, move |query| query.list(&filter))
    }

    fn search(&self, search: MessageSearch) -> QueueFuture<'_, SearchPage> {
        Box::pin(async move {
            let searched = self.inspect(false, false, move |query| query.search(&search)).await?;
            if !searched.damaged.is_empty() {
                let anew = move |writer: &mut Writer| {
                    writer.index_anew(&searched.damaged);
                    Ok(())
                };
                self.ask(false, anew).await?;
            }
            Ok(searched.page)
        })
    }

    fn show(&self, id: Id) -> QueueFuture<'_, (QueueEntry, Bytes, StoredBody)> {
        self.inspect(false, false, move |query| query.show(id))
    }

    fn depth(&self) -> QueueFuture<'_, QueueDepth> {
        self.inspect(true, false, |query| query.depth())
    }

    fn finished_since(&self, since: Timestamp) -> QueueFuture<'_, (u64, u64)> {
        self.inspect(false, false, move |query| query.finished_since(since))
    }

    fn bytes(&self) -> QueueFuture<'_, u64> {
        self.ask(true, |writer| Ok(writer.memory.counters.bytes()))
    }

    fn bytes_by_addr(&self) -> QueueFuture<'_, Vec<(IpAddr, u64)>> {
        self.inspect(false, true, |query| query.bytes_by_addr())
    }

    fn pools(&self) -> QueueFuture<'_, Vec<(String, u64)>> {
        self.ask(true, |writer| Ok(writer.memory.counters.pools()))
    }

    fn lanes(&self) -> QueueFuture<'_, Vec<(String, [u64; Lane::ALL.len()])>> {
        self.ask(true, |writer| Ok(writer.memory.counters.lanes()))
    }
}

impl AuditLog for SqliteQueue {
    fn record_command(&self, record: AuditRecord) -> QueueFuture<'_, ()> {
        self.write(Write::RecordCommand(command_log::cut(record)))
    }

    fn commands(&self, filter: AuditFilter) -> QueueFuture<'_, AuditPage> {
        self.inspect(false, false, move |query| query.commands(&filter))
    }
}

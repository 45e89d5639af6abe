//! Where LDK saves its monitors: nowhere, or in files by its own `FilesystemStore`.

use std::path::Path;
use std::sync::Arc;

use lightning::chain::ChannelMonitorUpdateStatus;
use lightning::chain::chainmonitor::Persist;
use lightning::chain::channelmonitor::{ChannelMonitor, ChannelMonitorUpdate};
use lightning::sign::{InMemorySigner, KeysManager};
use lightning::util::persist::{MonitorName, MonitorUpdatingPersister};
use lightning_persister::fs_store::FilesystemStore;

use super::parts::{Lines, Published, Rates};

type Updating = MonitorUpdatingPersister<
    Arc<FilesystemStore>,
    Arc<Lines>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Published>,
    Arc<Rates>,
>;

/// How LDK saves.
#[derive(Clone, Copy, Debug)]
pub enum LdkSaves<'a> {
    /// Not at all.
    Nothing,
    /// A whole monitor whenever one changes, into this folder: what its store does by itself.
    Whole(&'a Path),
    /// Each update of a monitor, and the whole after so many, into this folder.
    Updates(&'a Path, u64),
}

/// LDK's disk.
pub enum LdkDisk {
    /// One that is always quick enough, and forgets.
    Memory,
    /// `Persist` as LDK has it for each of its stores.
    Whole(FilesystemStore),
    /// LDK's `MonitorUpdatingPersister`.
    Updates(Box<Updating>),
}

impl LdkDisk {
    pub fn new(
        saves: LdkSaves<'_>,
        log: &Arc<Lines>,
        keys: &Arc<KeysManager>,
        (published, rates): (&Arc<Published>, &Arc<Rates>),
    ) -> Self {
        match saves {
            LdkSaves::Nothing => Self::Memory,
            LdkSaves::Whole(dir) => Self::Whole(FilesystemStore::new(dir.to_owned())),
            LdkSaves::Updates(dir, most) => Self::Updates(Box::new(Updating::new(
                Arc::new(FilesystemStore::new(dir.to_owned())),
                Arc::clone(log),
                most,
                Arc::clone(keys),
                Arc::clone(keys),
                Arc::clone(published),
                Arc::clone(rates),
            ))),
        }
    }
}

impl Persist<InMemorySigner> for LdkDisk {
    fn persist_new_channel(
        &self,
        name: MonitorName,
        monitor: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        match self {
            Self::Memory => ChannelMonitorUpdateStatus::Completed,
            Self::Whole(store) => store.persist_new_channel(name, monitor),
            Self::Updates(store) => store.persist_new_channel(name, monitor),
        }
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        match self {
            Self::Memory => ChannelMonitorUpdateStatus::Completed,
            Self::Whole(store) => store.update_persisted_channel(name, update, monitor),
            Self::Updates(store) => store.update_persisted_channel(name, update, monitor),
        }
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        match self {
            Self::Memory => {}
            Self::Whole(store) => {
                Persist::<InMemorySigner>::archive_persisted_channel(store, name);
            }
            Self::Updates(store) => {
                Persist::<InMemorySigner>::archive_persisted_channel(&**store, name);
            }
        }
    }
}

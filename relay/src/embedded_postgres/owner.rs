//! Whose processes and files the private Postgres has: ours, or `postgres`' when we are root.
//!
//! Postgres refuses to run as root, so root hands it to `postgres`, or to `nobody` where no such
//! user exists. An ordinary user keeps it.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use nix::unistd::{Gid, Uid, User, getegid, geteuid};

/// Any of these would send `initdb` or `postgres` to another server's files or settings.
const MISLEADING: &[&str] =
    &["PGDATA", "PGPORT", "PGHOST", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGSERVICE", "PGTZ"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    uid: Uid,
    gid: Gid,
    /// We are root and hand everything to another user.
    switch: bool,
}

impl Owner {
    /// The owner of the cluster in `data`, or of a new one there.
    pub(super) fn of(data: &Path) -> anyhow::Result<Self> {
        let me = geteuid();
        let holder = match fs::metadata(data) {
            Ok(metadata) => Some((metadata.uid(), metadata.gid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let whose = "it may have been made by root: run as root, or choose another place";
                return Err(error)
                    .with_context(|| format!("cannot look at {}; {whose}", data.display()));
            }
        };
        match holder {
            None => Self::of_new(),
            Some((0, _)) => {
                bail!("{} belongs to root, under whom Postgres refuses to run", data.display())
            }
            Some((uid, gid)) if me.is_root() => {
                Ok(Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), switch: true })
            }
            Some((uid, gid)) => {
                ensure!(
                    uid == me.as_raw(),
                    "{} belongs to user id {uid}: run as that user or as root",
                    data.display()
                );
                Ok(Self { uid: me, gid: Gid::from_raw(gid), switch: false })
            }
        }
    }

    /// The owner of a cluster that is made now.
    pub(super) fn of_new() -> anyhow::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { uid: geteuid(), gid: getegid(), switch: false });
        }
        for name in ["postgres", "nobody"] {
            let user = User::from_name(name).context("the user database is unreadable")?;
            if let Some(user) = user {
                return Ok(Self { uid: user.uid, gid: user.gid, switch: true });
            }
        }
        bail!(
            "Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody`"
        )
    }

    /// A command that runs as this owner, away from our directory and from misleading variables.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
        for name in MISLEADING {
            command.env_remove(name);
        }
        if self.switch {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Makes sure that `dir` exists, is the owner's and is closed to everybody else. Refuses one
    /// that somebody else has put there, which matters in directories that all may write to.
    pub(super) fn private_dir(&self, dir: &Path) -> anyhow::Result<()> {
        let context = || format!("cannot make the private directory {}", dir.display());
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(context),
        }
        let found = fs::symlink_metadata(dir).with_context(context)?;
        ensure!(found.is_dir(), "{} is not a directory", dir.display());
        let trusted = [self.uid.as_raw(), geteuid().as_raw()];
        ensure!(trusted.contains(&found.uid()), "{} belongs to somebody else", dir.display());
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).with_context(context)?;
        self.give(dir).with_context(context)
    }

    /// Hands a file or directory of ours to the owner.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        if self.switch {
            chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))?;
        }
        Ok(())
    }

    /// The nearest directory above `path` that this owner may not pass through.
    pub(super) fn barrier(&self, path: &Path) -> Option<PathBuf> {
        if !self.switch {
            return None;
        }
        let closed = |dir: &&Path| fs::metadata(dir).is_ok_and(|found| !self.may_enter(&found));
        path.ancestors().skip(1).find(closed).map(Path::to_owned)
    }

    /// The owner has no other groups: they are dropped with the change of user.
    fn may_enter(&self, dir: &Metadata) -> bool {
        let needed = if dir.uid() == self.uid.as_raw() {
            0o100
        } else if dir.gid() == self.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        dir.mode() & needed != 0
    }
}

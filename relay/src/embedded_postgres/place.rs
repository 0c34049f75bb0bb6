//! Where a private cluster lies: the directory asked for, or one that the server's user can reach.
//!
//! A home is `data/` (the cluster), `socket/`, `postgres.log` and `lock`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::owner::Owner;

/// `sun_path` holds 104 bytes on the strictest system, with its closing zero and `/.s.PGSQL.5432`.
const SOCKET_DIR_BYTES_MAX: usize = 104 - 1 - "/.s.PGSQL.5432".len();

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    home: PathBuf,
    owner: Owner,
}

impl Place {
    /// Finds or makes the home for `wanted`, closed to everybody but its owner.
    ///
    /// The server's user may be unable to pass a directory above `wanted` (root's 0700 home). A new
    /// cluster then lies under `/var/tmp`, and is found there again; an existing one is never left
    /// behind for an empty one.
    pub(super) fn prepare(wanted: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(wanted).with_context(|| format!("cannot make {}", wanted.display()))?;
        let place = match Self::existing(wanted)? {
            Some(place) => place,
            None => Self::choose(wanted)?,
        };
        place.owner.private_dir(&place.home)?;
        Ok(place)
    }

    /// The home of a cluster that has been made for `wanted`.
    pub(super) fn existing(wanted: &Path) -> anyhow::Result<Option<Self>> {
        let Ok(wanted) = wanted.canonicalize() else { return Ok(None) };
        let elsewhere = elsewhere("/var/tmp", &wanted);
        for home in [&wanted, &elsewhere] {
            let data = home.join("data");
            let owner = Owner::of(&data)?;
            if !data.join("PG_VERSION").exists() {
                continue;
            }
            ensure!(
                home == &wanted || owner == Owner::of_new()?,
                "{} was made by somebody else: delete it",
                home.display()
            );
            if let Some(barrier) = owner.barrier(&data) {
                bail!(
                    "the cluster in {} cannot be reached by the user it belongs to: {} is closed to it",
                    home.display(),
                    barrier.display()
                );
            }
            return Ok(Some(Self { home: home.clone(), owner }));
        }
        Ok(None)
    }

    fn choose(wanted: &Path) -> anyhow::Result<Self> {
        let wanted = wanted.canonicalize().context("the data directory cannot be resolved")?;
        let owner = Owner::of(&wanted.join("data"))?;
        let Some(barrier) = owner.barrier(&wanted) else {
            return Ok(Self { home: wanted, owner });
        };
        let home = elsewhere("/var/tmp", &wanted);
        tracing::warn!(
            closed = %barrier.display(),
            home = %home.display(),
            "Postgres' user cannot reach the data directory, so its cluster lies elsewhere"
        );
        Ok(Self { home, owner })
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// What `initdb` fills before it becomes [`Self::data`].
    pub(super) fn unfinished(&self) -> PathBuf {
        self.home.join("data.unfinished")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    /// Where the socket goes: beside the data, or in `/tmp` when that path would be too long.
    pub(super) fn socket_dir(&self) -> PathBuf {
        let beside = self.home.join("socket");
        if beside.as_os_str().len() <= SOCKET_DIR_BYTES_MAX {
            return beside;
        }
        elsewhere("/tmp", &self.home)
    }

    /// Taken by the one process that runs this cluster, and given back by the system when it dies.
    pub(super) fn lock(&self) -> anyhow::Result<File> {
        let path = self.home.join("lock");
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => bail!(
                "another relay process is using {}: stop it, or choose another RELAY_DATA_DIR",
                self.home.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// Deletes the cluster and everything else that is ours. The server must have stopped.
    pub(super) fn remove(&self) -> anyhow::Result<()> {
        for dir in [self.socket_dir(), self.home.clone()] {
            match fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot delete {}", dir.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A short directory below `parent` that is always the same one for `path`.
fn elsewhere(parent: &str, path: &Path) -> PathBuf {
    // FNV-1a: stable over releases, and nothing here needs it to be strong.
    let hash =
        path.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    Path::new(parent).join(format!("relay-postgres-{hash:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_too_long_for_a_socket_moves_it_to_a_short_place() {
        let owner = Owner::of(Path::new("/nonexistent")).expect("somebody can run Postgres here");
        let at = |home: String| Place { home: PathBuf::from(home), owner }.socket_dir();
        assert_eq!(at("/srv/relay".into()), Path::new("/srv/relay/socket"));
        let long = at(format!("/srv/{}", "long/".repeat(30)));
        assert!(long.starts_with("/tmp"), "{}", long.display());
        assert!(long.as_os_str().len() <= SOCKET_DIR_BYTES_MAX);
        assert_eq!(long, at(format!("/srv/{}", "long/".repeat(30))), "the same path every time");
        assert_ne!(long, at(format!("/srv/{}", "longer/".repeat(30))));
    }
}

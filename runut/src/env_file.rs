//! Files of `NAME=value` lines that a shell can source, readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The mode of such a file: there are secrets in it.
const OWNER_ONLY: u32 = 0o600;

/// Names and values, in the order of their lines.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct EnvFile {
    lines: Vec<(String, String)>,
}

impl EnvFile {
    /// Reads a file; `None` if there is none.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Self::parse(&text).with_context(|| format!("cannot use {}", path.display())).map(Some)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            // Never the line itself: there may be a secret on it.
            let Some((name, value)) = line.split_once('=') else {
                bail!("line {} is not `NAME=value`", index + 1);
            };
            lines.push((name.trim().to_owned(), unquoted(value.trim())));
        }
        Ok(Self { lines })
    }

    /// The value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.lines.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets the value of `name`.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.lines.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.lines.push((name.to_owned(), value)),
        }
    }

    /// Sets all that `other` has.
    pub(crate) fn extend(&mut self, other: Self) {
        for (name, value) in other.lines {
            self.set(&name, value);
        }
    }

    /// Writes the file so that others see all of it or, until then, what was there before; also
    /// after a power cut.
    pub(crate) fn write(&self, path: &Path, comment: &str) -> anyhow::Result<()> {
        self.try_write(path, comment).with_context(|| format!("cannot write {}", path.display()))
    }

    fn try_write(&self, path: &Path, comment: &str) -> std::io::Result<()> {
        let new = new_path(path);
        remove(&new)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&new)?;
        file.write_all(self.text(comment).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn text(&self, comment: &str) -> String {
        let mut text = format!("# {comment}\n");
        for (name, value) in &self.lines {
            text.push_str(&format!("{name}={}\n", quoted(value)));
        }
        text
    }
}

/// Removes a file if it is there.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Beside the file, since a rename within a folder is atomic.
fn new_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// As a shell takes it literally; bare where that is possible, for simpler readers.
fn quoted(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,?".contains(c);
    if value.chars().all(bare) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

fn unquoted(value: &str) -> String {
    match value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inner) => inner.replace(r"'\''", "'"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_whatever_is_in_it() {
        let mut file = EnvFile::default();
        file.set("PLAIN", "postgres://a:b@127.0.0.1:1/runut?sslmode=disable");
        file.set("ODD", "a&b 'c' $d");
        let text = file.text("of a test");
        assert_eq!(
            text,
            "# of a test\nPLAIN=postgres://a:b@127.0.0.1:1/runut?sslmode=disable\n\
             ODD='a&b '\\''c'\\'' $d'\n"
        );
        let read = EnvFile::parse(&text).unwrap();
        assert!(read == file);
        assert_eq!(read.get("ODD"), Some("a&b 'c' $d"));
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number_only() {
        let error = EnvFile::parse("A=b\nhunter2\n").map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "line 2 is not `NAME=value`");
    }
}

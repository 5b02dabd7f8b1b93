//! JSON pointers (RFC 6901): where in a body something is wrong.

use std::fmt;

/// The most bytes of a pointer in an answer; a longer one is cut to the nearest ancestor that fits,
/// since keys are the caller's and may be as long as the body.
pub const POINTER_BYTES_MAX: usize = 256;

/// A place in a JSON document; the empty pointer is the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pointer(String);

impl Pointer {
    /// The whole document.
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// The member `key` of the object here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut text = String::with_capacity(self.0.len() + 1 + key.len());
        text.push_str(&self.0);
        text.push('/');
        for character in key.chars() {
            match character {
                '~' => text.push_str("~0"),
                '/' => text.push_str("~1"),
                other => text.push(other),
            }
        }
        Self(text)
    }

    /// The element `index` of the array here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// The pointer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pointer, or its nearest ancestor of at most [`POINTER_BYTES_MAX`] bytes.
    pub(crate) fn bounded(&self) -> &str {
        let mut text = self.0.as_str();
        while text.len() > POINTER_BYTES_MAX {
            text = text.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        text
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pointer written in the program, escaped already: `"/postings/0/amount"`.
impl From<&str> for Pointer {
    fn from(text: &str) -> Self {
        debug_assert!(text.is_empty() || text.starts_with('/'), "not a JSON pointer: {text}");
        Self(text.to_owned())
    }
}

impl From<&Pointer> for Pointer {
    fn from(pointer: &Pointer) -> Self {
        pointer.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_as_rfc_6901_says() {
        let pointer = Pointer::root().key("a/b").key("m~n").index(0).key("");
        assert_eq!(pointer.as_str(), "/a~1b/m~0n/0/");
    }

    #[test]
    fn a_long_pointer_is_cut_to_an_ancestor() {
        let pointer = Pointer::from("/metadata").key(&"k".repeat(POINTER_BYTES_MAX));
        assert_eq!(pointer.bounded(), "/metadata");
        assert_eq!(Pointer::root().key(&"k".repeat(POINTER_BYTES_MAX)).bounded(), "");
        assert_eq!(Pointer::from("/amount").bounded(), "/amount");
    }
}

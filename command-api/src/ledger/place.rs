//! Where in a request the body of a command stands: it is all of it, or one of several.

use api_conventions::Pointer;

/// A place, spelled out only if something is wrong there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// The body is the command's.
    Body,
    /// It is an element of a list in the body.
    Element {
        /// The name of the list.
        list: &'static str,
        /// Counted from 0.
        index: usize,
    },
}

/// A field there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    place: Place,
    name: &'static str,
}

/// A field of a posting there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PostingField {
    place: Place,
    index: usize,
    name: &'static str,
}

impl Place {
    pub(crate) fn field(self, name: &'static str) -> Field {
        Field { place: self, name }
    }

    pub(crate) fn posting(self, index: usize, name: &'static str) -> PostingField {
        PostingField { place: self, index, name }
    }

    fn pointer(self) -> Pointer {
        match self {
            Self::Body => Pointer::root(),
            Self::Element { list, index } => Pointer::root().key(list).index(index),
        }
    }
}

impl From<Field> for Pointer {
    fn from(Field { place, name }: Field) -> Self {
        place.pointer().key(name)
    }
}

impl From<PostingField> for Pointer {
    fn from(PostingField { place, index, name }: PostingField) -> Self {
        place.pointer().key("postings").index(index).key(name)
    }
}

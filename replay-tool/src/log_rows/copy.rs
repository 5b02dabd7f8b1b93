//! Postgres' binary COPY format: rows as they come over the wire, without their frame.

use futures::TryStreamExt;
use sqlx::PgConnection;

/// What it starts with: signature, flags and the length of an empty extension.
const HEADER_BYTES: usize = 19;
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// What it ends with, in the place of a row's number of columns.
const TRAILER: &[u8] = &[0xff, 0xff];

/// The row in a message; the server sends one a message, the header before or with the first.
pub(super) fn row_in(message: &[u8]) -> Option<&[u8]> {
    let row = match message.starts_with(SIGNATURE) {
        true => message.get(HEADER_BYTES..)?,
        false => message,
    };
    (!row.is_empty() && row != TRAILER).then_some(row)
}

/// Carries out `copy (…) to stdout (format binary)` and puts the rows into `page`; how many there are.
/// COPY takes no bound values: what is not the program's own is to be [`quoted`].
pub(crate) async fn copy_page(
    db: &mut PgConnection,
    statement: &str,
    page: &mut Vec<u8>,
) -> Result<i64, sqlx::Error> {
    page.clear();
    let mut messages = db.copy_out_raw(statement).await?;
    let mut rows = 0;
    while let Some(message) = messages.try_next().await? {
        if let Some(row) = row_in(&message) {
            page.extend_from_slice(row);
            rows += 1;
        }
    }
    Ok(rows)
}

/// A text as a literal; connections are told that backslashes are no escapes.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Rows of `N` columns, one after the other.
#[derive(Debug)]
pub(crate) struct Tuples<'a, const N: usize> {
    rest: &'a [u8],
}

impl<'a, const N: usize> Tuples<'a, N> {
    pub(crate) fn of(page: &'a [u8]) -> Self {
        Self { rest: page }
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let length = i32::from_be_bytes(*self.rest.first_chunk()?);
        let after = self.rest.get(4..)?;
        // −1 stands for null, which no column of the log can be.
        let (field, rest) = after.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(field)
    }

    /// The fields of the next row as far as they can be told apart, and whether all of them could.
    pub(super) fn next_fields(&mut self) -> Option<([&'a [u8]; N], bool)> {
        let columns = i16::from_be_bytes(*self.rest.first_chunk()?);
        self.rest = &self.rest[2..];
        let mut fields = [&[][..]; N];
        let mut whole = usize::try_from(columns) == Ok(N);
        for field in &mut fields {
            match self.field() {
                Some(bytes) => *field = bytes,
                None => whole = false,
            }
        }
        if !whole {
            // Whatever follows cannot be told apart any more.
            self.rest = &[];
        }
        Some((fields, whole))
    }
}

impl<'a, const N: usize> Iterator for Tuples<'a, N> {
    type Item = [&'a [u8]; N];

    fn next(&mut self) -> Option<Self::Item> {
        self.next_fields().filter(|(_, whole)| *whole).map(|(fields, _)| fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_field_by_field_up_to_where_it_breaks_off() {
        let row = |text: &[u8]| {
            let mut row = vec![0, 2];
            for field in [&[7_u8][..], text] {
                row.extend(i32::try_from(field.len()).unwrap().to_be_bytes());
                row.extend(field);
            }
            row
        };
        let mut page = [row(b"a"), row(b"bc")].concat();
        let read =
            |page: &[u8]| Tuples::<2>::of(page).map(|row| row[1].to_vec()).collect::<Vec<_>>();
        assert_eq!(read(&page), [b"a".to_vec(), b"bc".to_vec()]);
        page.pop();
        assert_eq!(read(&page), [b"a".to_vec()]);
    }

    #[test]
    fn quotes_end_no_literal() {
        assert_eq!(quoted("it's \\ 'fine'"), "'it''s \\ ''fine'''");
    }
}

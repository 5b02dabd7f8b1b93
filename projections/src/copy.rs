//! Rows for `COPY … FROM STDIN`, which takes many new rows at half the cost of an `INSERT`.

use std::fmt::{Display, Write};

use sqlx::PgConnection;

/// Rows in the text format of `COPY`: fields end with a tab, rows with a newline.
#[derive(Debug, Default)]
pub(crate) struct CopyRows {
    text: String,
}

impl CopyRows {
    /// A field that has no backslash, tab or line end: a number, an id, a time, a name of the program's.
    pub(crate) fn plain(&mut self, value: impl Display) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{value}\t");
        self
    }

    /// A field of any text.
    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        for character in value.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                other => self.text.push(other),
            }
        }
        self.text.push('\t');
        self
    }

    /// A field that may be null.
    pub(crate) fn optional<T>(
        &mut self,
        value: Option<T>,
        field: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            Some(value) => field(self, value),
            None => {
                self.text.push_str("\\N\t");
                self
            }
        }
    }

    /// Ends a row.
    pub(crate) fn end(&mut self) {
        let last = self.text.pop();
        debug_assert_eq!(last, Some('\t'), "a row has fields");
        self.text.push('\n');
    }

    /// Sends them; `statement` is the `COPY` with its columns in the order of the fields.
    pub(crate) async fn send(
        &self,
        db: &mut PgConnection,
        statement: &'static str,
    ) -> Result<(), sqlx::Error> {
        let mut copy = db.copy_in_raw(statement).await?;
        copy.send(self.text.as_bytes()).await?;
        copy.finish().await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_what_the_format_uses_for_itself() {
        let mut rows = CopyRows::default();
        rows.plain(7).text("a\tb\\c\r\nd").optional(None::<&str>, CopyRows::text).end();
        rows.plain(8).text("").optional(Some("\\N"), CopyRows::text).end();
        assert_eq!(rows.text, "7\ta\\tb\\\\c\\r\\nd\t\\N\n8\t\t\\\\N\n");
    }
}

//! Lists in pages: newest first, `limit` and an opaque `cursor`, and where the next page begins.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::field_errors::INVALID_VALUE;
use crate::json_structure::DUPLICATE_KEY;
use crate::problem::Problem;
use crate::query::{invalid, parse_query};

/// The most rows of a page: one query of bounded cost.
pub const PAGE_ROWS_MAX: usize = 200;
/// The rows of a page when the caller does not say: what fits a screen or two.
pub const PAGE_ROWS_DEFAULT: usize = 50;
/// The most characters of a cursor: a few ids and times, encoded.
pub const CURSOR_CHARACTERS_MAX: usize = 512;

/// The parameters that every list has, for the documentation.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only; `ListQuery` parses them")]
pub struct PageParameters {
    /// The most rows of the answer. A page of large rows ends earlier, at some 4 MiB, and has a `next_cursor`.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The filters of a list that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFilters {}

/// The query string of a list: `limit`, `cursor` and the list's own filters `F`
/// (`#[serde(deny_unknown_fields)]`). `C` is what a cursor holds: the sort key of a page's last
/// row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery<F, C> {
    /// The most rows to answer, 1 to [`PAGE_ROWS_MAX`].
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<C>,
    /// The list's own parameters.
    pub filters: F,
}

impl<F: DeserializeOwned, C: DeserializeOwned> ListQuery<F, C> {
    /// From a query string.
    ///
    /// # Errors
    /// 422 that names the parameter.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let mut own = OwnParameters { limit: None, cursor: None };
        let mut rest = Vec::new();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let Some((name, value)) = form_urlencoded::parse(piece.as_bytes()).next() else {
                continue;
            };
            match name.as_ref() {
                "limit" => own.set_limit(&value)?,
                "cursor" => own.set_cursor(&value)?,
                _ => rest.push(piece),
            }
        }
        let filters = parse_query(&rest.join("&"))?;
        Ok(Self { limit: own.limit.unwrap_or(PAGE_ROWS_DEFAULT), after: own.cursor, filters })
    }

    /// How many rows to ask the database for: one more than answered tells whether there is a next
    /// page.
    pub const fn rows_to_read(&self) -> usize {
        self.limit + 1
    }
}

impl<S: Sync, F: DeserializeOwned, C: DeserializeOwned> FromRequestParts<S> for ListQuery<F, C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

struct OwnParameters<C> {
    limit: Option<usize>,
    cursor: Option<C>,
}

impl<C: DeserializeOwned> OwnParameters<C> {
    fn set_limit(&mut self, text: &str) -> Result<(), Problem> {
        if self.limit.is_some() {
            return Err(repeated("limit"));
        }
        let limit = text.parse().ok().filter(|limit| (1..=PAGE_ROWS_MAX).contains(limit));
        let detail = "expected a number from 1 to 200";
        self.limit = Some(limit.ok_or_else(|| invalid("limit", INVALID_VALUE, detail))?);
        Ok(())
    }

    fn set_cursor(&mut self, text: &str) -> Result<(), Problem> {
        if self.cursor.is_some() {
            return Err(repeated("cursor"));
        }
        let detail = "expected the next_cursor of a page of this list";
        let decoded = decode_cursor(text);
        self.cursor = Some(decoded.ok_or_else(|| invalid("cursor", INVALID_VALUE, detail))?);
        Ok(())
    }
}

fn repeated(parameter: &str) -> Problem {
    invalid(parameter, DUPLICATE_KEY, "the parameter is given twice")
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// The `cursor` of the next page; null on the last.
    #[schema(required, example = "eyJpZCI6MX0")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// From up to [`ListQuery::rows_to_read`] rows: the one beyond `limit` is not shown, but tells
    /// that there is a next page, which begins after the last row shown.
    pub fn of<R, C: Serialize>(
        mut rows: Vec<R>,
        limit: usize,
        cursor_of: impl FnOnce(&R) -> C,
        show: impl FnMut(R) -> T,
    ) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = if more { rows.last() } else { None };
        let next_cursor = last.map(|row| encode_cursor(&cursor_of(row)));
        Self { data: rows.into_iter().map(show).collect(), next_cursor }
    }
}

/// A cursor as text: base64url of its JSON, opaque to callers.
pub fn encode_cursor<C: Serialize>(cursor: &C) -> String {
    // Cursors are plain structs of ids and numbers, which are always JSON.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

/// Reads what [`encode_cursor`] wrote; `None` for anything else.
pub fn decode_cursor<C: DeserializeOwned>(text: &str) -> Option<C> {
    if text.len() > CURSOR_CHARACTERS_MAX {
        return None;
    }
    let json = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct After {
        id: u64,
    }

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filters {
        status: Option<String>,
        after: Option<u64>,
    }

    type Query = ListQuery<Filters, After>;

    #[test]
    fn limit_cursor_and_filters_are_read() {
        let cursor = encode_cursor(&After { id: 7 });
        let query = Query::parse(&format!("limit=3&cursor={cursor}&status=open%20now")).unwrap();
        assert_eq!((query.limit, query.rows_to_read()), (3, 4));
        assert_eq!(query.after, Some(After { id: 7 }));
        assert_eq!(query.filters.status.as_deref(), Some("open now"));
        let query = ListQuery::<NoFilters, After>::parse("").unwrap();
        assert_eq!((query.limit, query.after), (PAGE_ROWS_DEFAULT, None));
    }

    #[test]
    fn wrong_parameters_are_refused_by_name() {
        let other_list = encode_cursor(&("another", "list"));
        let refusals: Vec<String> = [
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=x",
            "limit=",
            "limit=1&limit=2",
            "cursor=%00",
            "cursor=!!",
            "cursor=",
            &format!("cursor={other_list}"),
            &format!("cursor={}", "A".repeat(CURSOR_CHARACTERS_MAX + 1)),
            "after=x",
            "status=a%00b",
            "status=a&status=b",
            "colour=red",
        ]
        .into_iter()
        .map(|query| Query::parse(query).unwrap_err().body_text(None))
        .collect();
        insta::assert_snapshot!(refusals.join("\n"));
    }

    #[test]
    fn the_row_beyond_the_limit_becomes_the_next_cursor() {
        let page = |rows: Vec<u64>| Page::of(rows, 2, |id| After { id: *id }, |id| id);
        let next = Some(encode_cursor(&After { id: 8 }));
        assert_eq!(page(vec![9, 8, 7]), Page { data: vec![9, 8], next_cursor: next });
        assert_eq!(page(vec![9, 8]), Page { data: vec![9, 8], next_cursor: None });
        assert_eq!(page(vec![]), Page { data: vec![], next_cursor: None });
    }
}

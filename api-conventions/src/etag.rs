//! Versions of resources as entity tags: `ETag`, `If-None-Match` (304) and `If-Match` (412).

use std::convert::Infallible;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::StreamVersion;
use serde::Serialize;

use crate::problem::Problem;

/// The most tags in one header: a caller has seen a few versions of a resource, not hundreds.
pub const TAGS_MAX: usize = 16;

/// The tag of a version: the number in quotes.
pub fn etag(version: StreamVersion) -> HeaderValue {
    // Digits and quotes are always a header value; the empty tag would match nothing.
    HeaderValue::from_str(&format!("\"{version}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The tag of a resource that shows more than its own stream, such as an account's balance: its
/// version, a dot, and the position of the last event that changed anything of it. `If-Match` takes
/// it for the version; `If-None-Match` for the whole.
pub fn etag_at(version: StreamVersion, position: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}.{position}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The tags that a caller names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags<T> {
    /// `*`: whichever there is.
    Any,
    /// These.
    OneOf(Vec<T>),
}

impl<T> Tags<T> {
    /// `read` takes what stands between the quotes; tags that it makes nothing of match nothing.
    fn parse(
        headers: &HeaderMap,
        name: HeaderName,
        weak_allowed: bool,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Result<Self, ()>> {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return Some(Err(()));
        }
        let Ok(text) = value.to_str() else { return Some(Err(())) };
        if text.trim() == "*" {
            return Some(Ok(Self::Any));
        }
        let Some(named) = entity_tags(text) else { return Some(Err(())) };
        // `If-Match` compares strongly, by which a weak tag never matches (RFC 9110, 13.1.1).
        let compared = named.into_iter().filter(|tag| weak_allowed || !tag.weak);
        Some(Ok(Self::OneOf(compared.filter_map(|tag| read(tag.opaque)).collect())))
    }

    fn contain<Q: PartialEq<T> + ?Sized>(&self, tag: &Q) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|known| tag == known),
        }
    }
}

/// An entity tag as it was sent.
struct SentTag<'a> {
    weak: bool,
    /// What stands between the quotes.
    opaque: &'a str,
}

/// The tags of a list (RFC 9110, 8.8.3); `None` where it is none, or names none, or more than [`TAGS_MAX`]. A comma
/// and any other visible character but a quote may stand in a tag. Empty elements, which the RFC would have ignored,
/// are refused: nobody means them.
fn entity_tags(list: &str) -> Option<Vec<SentTag<'_>>> {
    let blank = [' ', '\t'];
    let mut tags = Vec::new();
    let mut rest = list.trim_matches(blank);
    loop {
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (opaque, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        if !opaque.bytes().all(|byte| byte.is_ascii_graphic()) || tags.len() == TAGS_MAX {
            return None;
        }
        tags.push(SentTag { weak, opaque });
        rest = behind.trim_start_matches(blank);
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix(',')?.trim_start_matches(blank);
    }
}

/// The version that a tag of [`etag`] or [`etag_at`] begins with; only as they write it.
fn version_in(tag: &str) -> Option<StreamVersion> {
    let (version, position) = tag.split_once('.').unwrap_or((tag, "0"));
    let written =
        |number: &str| number.parse().ok().filter(|read: &i64| read.to_string() == number);
    written(position)?;
    written(version).map(StreamVersion::from_number)
}

/// The versions under which a caller wants its command carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Tags<StreamVersion>);

impl IfMatch {
    /// From a request's headers; `None` if there is no `If-Match`.
    ///
    /// # Errors
    /// 400 if it is not a list of at most [`TAGS_MAX`] entity tags.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let malformed = |()| Problem::malformed("If-Match is no list of up to 16 entity tags");
        let tags = Tags::parse(headers, header::IF_MATCH, false, version_in).transpose();
        tags.map_err(malformed).map(|tags| tags.map(Self))
    }

    /// The versions, for commands that are decided elsewhere; `None` for `*`, which any version is.
    pub fn versions(&self) -> Option<&[StreamVersion]> {
        match &self.0 {
            Tags::Any => None,
            Tags::OneOf(versions) => Some(versions),
        }
    }

    /// Compares with the version that the resource is at, as known where the decision is made.
    ///
    /// # Errors
    /// 412 `precondition-failed`.
    pub fn check(&self, current: StreamVersion) -> Result<(), Problem> {
        if self.0.contain(&current) {
            return Ok(());
        }
        Err(Problem::precondition_failed(format_args!("the resource is at version {current}")))
    }
}

/// What the caller has already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfNoneMatch(Option<Tags<String>>);

impl IfNoneMatch {
    /// From a request's headers; one that cannot be read is as if it were not there.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let whole = |tag: &str| Some(tag.to_owned());
        Self(Tags::parse(headers, header::IF_NONE_MATCH, true, whole).and_then(Result::ok))
    }

    /// Whether the caller has the resource of this tag.
    pub fn has(&self, tag: &HeaderValue) -> bool {
        let opaque = tag.to_str().unwrap_or_default().trim_matches('"');
        self.0.as_ref().is_some_and(|tags| tags.contain(opaque))
    }

    /// The resource with its `ETag`, or 304 without a body if the caller has this version.
    pub fn answer<T: Serialize>(&self, version: StreamVersion, resource: T) -> Response {
        self.answer_tagged(etag(version), resource)
    }

    /// The same for a resource with a tag such as [`etag_at`] makes.
    pub fn answer_tagged<T: Serialize>(&self, tag: HeaderValue, resource: T) -> Response {
        let known = self.has(&tag);
        let tag = [(header::ETAG, tag)];
        if known {
            return (StatusCode::NOT_MODIFIED, tag).into_response();
        }
        (tag, Json(resource)).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    fn version(number: i64) -> StreamVersion {
        StreamVersion::from_number(number)
    }

    fn check_if_match(value: &str, current: i64) -> u16 {
        match IfMatch::from_headers(&headers(header::IF_MATCH, value)) {
            Ok(Some(tags)) => {
                tags.check(version(current)).map_or_else(|p| p.status().as_u16(), |()| 200)
            }
            Ok(None) => panic!("there is a header"),
            Err(problem) => problem.status().as_u16(),
        }
    }

    #[test]
    fn if_match_lets_only_the_named_versions_pass() {
        assert_eq!(IfMatch::from_headers(&HeaderMap::new()), Ok(None));
        for (value, status) in [
            ("\"3\"", 200),
            ("*", 200),
            ("\"1\", \"3\"", 200),
            ("\"2\"", 412),
            ("W/\"3\"", 412),
            ("\"3.1042\"", 200),
            ("\"1042.3\"", 412),
            ("\"3.x\"", 412),
            ("\"other\"", 412),
            ("W/\"2\", \"3\"", 200),
            ("\t\"3\" ", 200),
            ("\"2\",\"3\"", 200),
            ("\"2\" ,\t\"3\"", 200),
            ("\"3.\"", 412),
            ("\"3.1.2\"", 412),
            ("\"+3\"", 412),
            ("\"03\"", 412),
            ("\"-3\"", 412),
            ("\"3.+1\"", 412),
            ("\"99999999999999999999\"", 412),
            ("\"\"", 412),
            ("\"2,3\"", 412),
            ("\"*\"", 412),
            ("\"W/3\"", 412),
        ] {
            assert_eq!(check_if_match(value, 3), status, "{value}");
        }
    }

    #[test]
    fn a_malformed_if_match_is_refused_and_named() {
        let sixteen = vec!["\"3\""; TAGS_MAX].join(",");
        assert_eq!(check_if_match(&sixteen, 3), 200);
        let more = format!("{sixteen},\"3\"");
        for value in [
            "",
            " ",
            "\t",
            ",",
            "3",
            "'3'",
            "\"3",
            "3\"",
            "\"",
            "\"\"\"",
            "\"3\"\"",
            "\"3\"4\"",
            "\"3\" x",
            "\"3\"x",
            "x\"3\"",
            "\"3\" \"4\"",
            "\"3\",",
            ",\"3\"",
            "\"2\",,\"3\"",
            "\"3\";q=1",
            "\"3 \"",
            "\"\t3\"",
            "w/\"3\"",
            "W/3",
            "W/ \"3\"",
            "W/",
            "W/*",
            "**",
            "*, \"3\"",
            "\"3\", *",
            "\"3\", 4",
            &more,
        ] {
            let refused = IfMatch::from_headers(&headers(header::IF_MATCH, value));
            let problem = refused.expect_err(value);
            assert_eq!(problem.status().as_u16(), 400, "{value}");
            assert!(format!("{problem:?}").contains("If-Match"), "{value}");
        }
        let bytes: [&[u8]; 3] = [b"\"\xc3\xa9\"", b"\xff", b"\"3\xa0\""];
        for value in bytes {
            let value = HeaderValue::from_bytes(value).unwrap();
            let sent = HeaderMap::from_iter([(header::IF_MATCH, value)]);
            assert_eq!(IfMatch::from_headers(&sent).expect_err("400").status().as_u16(), 400);
        }
        let twice = ["\"3\"", "\"3\""].map(|value| (header::IF_MATCH, value.parse().unwrap()));
        let mut sent = HeaderMap::new();
        for (name, value) in twice {
            sent.append(name, value);
        }
        assert_eq!(IfMatch::from_headers(&sent).expect_err("400").status().as_u16(), 400);
    }

    #[test]
    fn the_versions_are_those_named_and_any_for_a_star() {
        let versions = |value: &str| {
            let tags = IfMatch::from_headers(&headers(header::IF_MATCH, value)).unwrap().unwrap();
            tags.versions().map(<[_]>::to_vec)
        };
        assert_eq!(versions("*"), None);
        assert_eq!(versions("\"1\", \"3\""), Some(vec![version(1), version(3)]));
        assert_eq!(versions("\"other\""), Some(vec![]));
    }

    #[test]
    fn a_version_that_the_caller_has_is_not_sent_again() {
        let answer = |value: &str| {
            let has = IfNoneMatch::from_headers(&headers(header::IF_NONE_MATCH, value));
            let response = has.answer(version(3), "content");
            assert_eq!(response.headers()[header::ETAG], "\"3\"");
            response.status().as_u16()
        };
        assert_eq!(answer("\"3\""), 304);
        assert_eq!(answer("W/\"3\""), 304);
        assert_eq!(answer("*"), 304);
        assert_eq!(answer("\"2\""), 200);
        assert_eq!(answer("garbled"), 200);
    }

    #[test]
    fn a_tag_with_a_position_is_known_as_a_whole() {
        let tag = etag_at(version(3), 1042);
        assert_eq!(tag, "\"3.1042\"");
        for (value, known) in [
            ("\"3.1042\"", true),
            ("\"1\", W/\"3.1042\"", true),
            ("*", true),
            ("\"3.1041\"", false),
            ("\"3\"", false),
        ] {
            let has = IfNoneMatch::from_headers(&headers(header::IF_NONE_MATCH, value));
            assert_eq!(has.has(&tag), known, "{value}");
        }
    }
}

//! `If-Match`: the versions at which a command may find what it changes.

use api_conventions::IfMatch;
use domain::StreamVersion;

/// The versions that the caller insists on; any where it does not.
pub(crate) fn expected_versions(if_match: Option<&IfMatch>) -> Option<Vec<StreamVersion>> {
    if_match.and_then(IfMatch::versions).map(<[StreamVersion]>::to_vec)
}

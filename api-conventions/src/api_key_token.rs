//! The text of an API key: `runut_<26 characters of the id>_<64 hex digits of the secret>`.

use std::fmt;

use domain::ApiKeyId;
use domain::api_keys::{ApiKey, SecretDigest};

const PREFIX: &str = "runut_";
const ID_CHARACTERS: usize = 26;
const SECRET_HEX_DIGITS: usize = 64;

/// An API key as its holder has it. Shown once, when it is issued; never stored and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyToken {
    key_id: ApiKeyId,
    secret: String,
}

impl ApiKeyToken {
    /// Makes a key's token from 256 fresh random bits.
    pub fn generate(key_id: ApiKeyId, random_bytes: [u8; 32]) -> Self {
        let mut secret = String::with_capacity(SECRET_HEX_DIGITS);
        for nibble in random_bytes.iter().flat_map(|byte| [byte >> 4, byte & 0b1111]) {
            secret.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
        Self { key_id, secret }
    }

    /// Reads a token; anything else is `None`, without a reason, since the answer has none either.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if id.len() != ID_CHARACTERS
            || secret.len() != SECRET_HEX_DIGITS
            || !secret.bytes().all(hex)
        {
            return None;
        }
        let key_id = format!("{}_{id}", ApiKeyId::PREFIX).parse().ok()?;
        Some(Self { key_id, secret: secret.to_owned() })
    }

    /// The public part.
    pub const fn key_id(&self) -> ApiKeyId {
        self.key_id
    }

    /// What is stored of the secret: the digest of its text.
    pub fn secret_digest(&self) -> SecretDigest {
        SecretDigest::of(&self.secret)
    }

    /// Whether this is the token of `key`, and `key` still opens something.
    pub fn opens(&self, key: &ApiKey) -> bool {
        let secret_fits = key.secret.matches(&self.secret);
        key.id == self.key_id && secret_fits && !key.revoked
    }

    /// The whole text, for the one answer that hands it to its holder.
    pub fn expose(&self) -> String {
        let id = self.key_id.to_string();
        let bare = id.trim_start_matches(ApiKeyId::PREFIX).trim_start_matches('_');
        format!("{PREFIX}{bare}_{}", self.secret)
    }
}

impl fmt::Debug for ApiKeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyToken({}, secret redacted)", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn token() -> ApiKeyToken {
        let uuid: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        ApiKeyToken::generate(ApiKeyId::from_uuid(uuid), [0xA5; 32])
    }

    #[test]
    fn the_text_form_is_stable_and_reads_back() {
        let text = token().expose();
        assert_eq!(text, format!("runut_01h455vb4pex5vsknk084sn02q_{}", "a5".repeat(32)));
        assert_eq!(ApiKeyToken::parse(&text), Some(token()));
        assert_eq!(token().secret_digest(), SecretDigest::of(&"a5".repeat(32)));
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert!(!format!("{:?}", token()).contains("a5a5"));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let text = token().expose();
        for garbled in [
            "",
            "runut_",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.to_uppercase(),
            &text.replace("a5", "A5"),
            &text.replace("runut_01", "runut_81"),
            &text.replace('q', "é"),
            &format!(" {text}"),
        ] {
            assert_eq!(ApiKeyToken::parse(garbled), None, "{garbled:?}");
        }
    }
}

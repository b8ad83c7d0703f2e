//! Who sent it: GitHub signs the raw bytes of a body with a secret that it shares with us
//! (`X-Hub-Signature-256: sha256=<hexadecimal HMAC>`).

use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::{fmt, sync::Arc};
use subtle::{Choice, ConstantTimeEq as _};

/// No secret was given. An empty one would let anybody sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no webhook secret: write the one that the forge was given, or several, one on each line")]
pub struct NoSecret;

/// The secrets that a delivery may be signed with; several while one replaces another.
#[derive(Clone)]
pub struct WebhookSecret {
    secrets: Arc<[String]>,
}

impl WebhookSecret {
    /// Reads a secret from each line that is not blank; white space around it does not count.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn from_lines(text: &str) -> Result<Self, NoSecret> {
        let secrets: Arc<[String]> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if secrets.is_empty() { Err(NoSecret) } else { Ok(Self { secrets }) }
    }

    /// Whether one of the secrets made this signature of these bytes. Which one, and where a wrong one differs, does
    /// not show in the time that this takes.
    pub(crate) fn signed(&self, body: &[u8], signature: &Signature) -> bool {
        let verdict = |secret: &String| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
            mac.update(body);
            mac.finalize().into_bytes()[..].ct_eq(&signature.0)
        };
        self.secrets.iter().map(verdict).fold(Choice::from(0), |any, one| any | one).into()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecret({} of them)", self.secrets.len())
    }
}

/// A signature as it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature([u8; 32]);

impl Signature {
    /// Reads the header's value.
    pub(crate) fn parse(header: &[u8]) -> Option<Self> {
        let hexadecimal = header.strip_prefix(b"sha256=")?;
        Some(Self(HEXLOWER_PERMISSIVE.decode(hexadecimal).ok()?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's documentation, "Validating webhook deliveries".
    const EXAMPLE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn signature(header: &str) -> Signature {
        Signature::parse(header.as_bytes()).expect("a signature")
    }

    #[test]
    fn the_example_that_github_publishes_is_signed() {
        let secret = WebhookSecret::from_lines("It's a Secret to Everybody").expect("one");
        assert!(secret.signed(b"Hello, World!", &signature(EXAMPLE)));
        assert!(!secret.signed(b"Hello, World?", &signature(EXAMPLE)));
        assert!(!secret.signed(b"", &signature(EXAMPLE)));
    }

    #[test]
    fn any_of_several_secrets_counts_and_no_other() {
        let both = WebhookSecret::from_lines("new\r\n\r\n  It's a Secret to Everybody  \n").expect("two");
        assert!(both.signed(b"Hello, World!", &signature(EXAMPLE)));
        let other = WebhookSecret::from_lines("new\nnewer").expect("two");
        assert!(!other.signed(b"Hello, World!", &signature(EXAMPLE)));
        assert_eq!(WebhookSecret::from_lines(" \n\n").err(), Some(NoSecret));
    }

    #[test]
    fn every_bit_of_a_signature_counts() {
        let secret = WebhookSecret::from_lines("It's a Secret to Everybody").expect("one");
        for bit in 0..256 {
            let mut wrong = signature(EXAMPLE);
            wrong.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!secret.signed(b"Hello, World!", &wrong), "bit {bit}");
        }
    }

    #[test]
    fn what_is_no_signature_is_none() {
        for bad in ["", "sha256=", "sha1=757107ea", &EXAMPLE[7..], &EXAMPLE[..70], &format!("{EXAMPLE}00"), "sha256=ü"]
        {
            assert!(Signature::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let secret = WebhookSecret::from_lines("hunter2").expect("one");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}

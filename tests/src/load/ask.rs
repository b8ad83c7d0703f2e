//! What a request asks for: the key it carries, in which header, and the version that has to answer.

use std::{fmt, str::FromStr};

/// One kind of request. Written `[tracestate:|baggage:]KEY[=VERSION]`, with `-` for no key: `-=baseline`,
/// `baggage:feature-x-abc234=feature-x-abc234`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The routing key.
    pub key: Option<String>,
    /// The header that carries it.
    pub carrier: Carrier,
    /// The version that has to answer; any, when absent.
    pub expect: Option<String>,
}

/// A header that carries a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `tracestate`.
    Tracestate,
    /// `baggage`.
    Baggage,
}

impl Ask {
    /// No key, and anyone may answer.
    pub const PLAIN: Self = Self { key: None, carrier: Carrier::Tracestate, expect: None };

    /// The header fields of it, foreign members included, as a traced request has them.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (mut tracestate, mut baggage) = ("congo=t61rcWkgMzE".to_owned(), "userId=alice".to_owned());
        if let Some(key) = &self.key {
            match self.carrier {
                Carrier::Tracestate => tracestate = format!("{tracestate},lapdev={key}"),
                Carrier::Baggage => baggage = format!("{baggage},lapdev={key}"),
            }
        }
        let mut fields = vec![("traceparent", trace.to_owned()), ("tracestate", tracestate)];
        // A request's headers are of the same size wherever its key is, but for the name.
        if self.carrier == Carrier::Baggage {
            fields.push(("baggage", baggage));
        }
        fields
    }
}

impl FromStr for Ask {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (carrier, rest) = match text.split_once(':') {
            None => (Carrier::Tracestate, text),
            Some(("tracestate", rest)) => (Carrier::Tracestate, rest),
            Some(("baggage", rest)) => (Carrier::Baggage, rest),
            Some((other, _)) => return Err(format!("'{other}' is neither tracestate nor baggage")),
        };
        let (key, expect) = match rest.split_once('=') {
            Some((key, expect)) => (key, Some(expect.to_owned())),
            None => (rest, None),
        };
        match key {
            "" => Err("expected [tracestate:|baggage:]KEY[=VERSION], with - for no key".to_owned()),
            "-" => Ok(Self { key: None, carrier, expect }),
            key => Ok(Self { key: Some(key.to_owned()), carrier, expect }),
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, self.carrier) {
            (None, _) => f.write_str("-"),
            (Some(key), Carrier::Tracestate) => f.write_str(key),
            (Some(key), Carrier::Baggage) => write!(f, "baggage:{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_into_the_header_that_was_asked_for() {
        let ask: Ask = "baggage:x-abc234=web".parse().expect("legal");
        assert_eq!(ask.expect.as_deref(), Some("web"));
        let headers = ask.headers();
        assert_eq!(headers[1].1, "congo=t61rcWkgMzE");
        assert_eq!(headers[2], ("baggage", "userId=alice,lapdev=x-abc234".to_owned()));
        let plain: Ask = "-=baseline".parse().expect("legal");
        assert_eq!((plain.key, plain.expect.as_deref()), (None, Some("baseline")));
        for bad in ["", "cookie:x", "=x"] {
            assert!(bad.parse::<Ask>().is_err(), "{bad}");
        }
    }
}

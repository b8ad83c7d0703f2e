//! Whether an image has a name, with any tag and digest. A name is a regular expression that users rely on, but nearly
//! every one has nothing special but dots: those are compared without one, whose making would cost more than all
//! comparisons of a small kustomization.

use crate::expression::compile;
use regex_lite::Regex;

/// The name in an entry of `images:`.
#[derive(Debug)]
pub enum ImageName {
    /// A dot stands for any character but a line break.
    Plain(String),
    Expression(Regex),
    /// No regular expression: it matches no image.
    Nothing,
}

impl ImageName {
    pub fn parse(name: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.' | ':');
        match name.chars().all(plain) {
            true => Self::Plain(name.to_owned()),
            false => expression(name).map_or(Self::Nothing, Self::Expression),
        }
    }

    pub fn matches(&self, image: &str) -> bool {
        match self {
            Self::Plain(name) => {
                let mut rest = image.chars();
                let same = |wanted: char| rest.next().is_some_and(|c| c == wanted || (wanted == '.' && c != '\n'));
                name.chars().all(same) && is_tag_and_digest(rest.as_str())
            }
            Self::Expression(expression) => expression.is_match(image),
            Self::Nothing => false,
        }
    }
}

fn expression(name: &str) -> Result<Regex, regex_lite::Error> {
    compile(&format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{{}}-]*)?$"))
}

/// What the expression says of the text behind the name.
fn is_tag_and_digest(text: &str) -> bool {
    let is_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '{' | '}' | '-');
    let rest = text.strip_prefix(':').map_or(text, |tag| tag.trim_start_matches(is_tag));
    let Some(digest) = rest.strip_prefix('@') else { return rest.is_empty() };
    let Some((algorithm, hash)) = digest.split_once(':') else { return false };
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    algorithm.split(['.', '+', '_', '-']).all(is_part) && hash.chars().all(is_tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_matches_as_the_expression_that_it_is() {
        let names = ["", "web", "a.b/web", "host:5000/web", "w.b", "web:v1", "..", "a-b_c"];
        let tails = [
            "",
            ":",
            ":v1",
            ":v1.2_a-{b}",
            ":v1:v2",
            "@",
            "@sha256:ab",
            "@sha256",
            "@sha256:",
            "@sha-2.5+6_7:ab",
            "@-sha:a",
            "@sha-:a",
            "@sha--2:a",
            "@:a",
            ":v1@sha256:ab",
            ":@sha256:ab",
            "@sha256:ab:v1",
            "@sha256:a@b",
            "x",
            "\n",
            "é",
            ":é",
            "/more",
            " ",
        ];
        let images =
            ["", "web", "aXb/web", "a.b/web", "a\nb/web", "aéb/web", "host:5000/web", "wéb", "web:v1", "ab", "a-b_c"];
        for name in names {
            let (plain, expression) = (ImageName::parse(name), expression(name).expect("an expression"));
            assert!(matches!(plain, ImageName::Plain(_)), "{name}");
            for image in images.iter().flat_map(|image| tails.map(|tail| format!("{image}{tail}"))) {
                assert_eq!(plain.matches(&image), expression.is_match(&image), "{name:?} and {image:?}");
            }
        }
    }

    #[test]
    fn a_name_may_be_an_expression_or_nothing() {
        assert!(ImageName::parse("(web|api)").matches("api:v1"));
        assert!(!ImageName::parse("(web|api)").matches("webapi"));
        assert!(!ImageName::parse("web(").matches("web("));
    }
}

//! Where generated data comes from: `literals`, `files` and `envs`.

use crate::error::{Error, Place, Problem};
use crate::kustomization::{Fields, Text};
use crate::path::TreePath;
use crate::source::Source;
use std::collections::BTreeMap;

/// The sources of one generator.
#[derive(Debug)]
pub struct Sources {
    literals: Vec<Text>,
    files: Vec<Text>,
    envs: Vec<Text>,
}

type Pairs = BTreeMap<String, Vec<u8>>;

impl Sources {
    pub fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        let mut envs = fields.texts("envs")?;
        envs.extend(fields.text("env")?);
        Ok(Self { literals: fields.texts("literals")?, files: fields.texts("files")?, envs })
    }

    /// Reads all sources; an error if two give the same key.
    pub fn load(&self, source: Source<'_>, root: &TreePath) -> Result<Pairs, Error> {
        let mut pairs = Pairs::new();
        for text in &self.envs {
            let file = source.required_file(root, &text.value, &text.place)?;
            for (key, value) in env_lines(&source.bytes(&file)?, &file)? {
                insert(&mut pairs, key, value.into_bytes(), &text.place)?;
            }
        }
        for text in &self.literals {
            let (key, value) =
                literal(&text.value).map_err(|why| Error::new(text.place.clone(), Problem::Invalid(why)))?;
            insert(&mut pairs, key.to_owned(), value.as_bytes().to_vec(), &text.place)?;
        }
        for text in &self.files {
            let (key, path) =
                file_source(&text.value).map_err(|why| Error::new(text.place.clone(), Problem::Invalid(why)))?;
            let file = source.required_file(root, path, &text.place)?;
            insert(&mut pairs, key.to_owned(), source.bytes(&file)?, &text.place)?;
        }
        Ok(pairs)
    }
}

fn insert(pairs: &mut Pairs, key: String, value: Vec<u8>, place: &Place) -> Result<(), Error> {
    if pairs.contains_key(&key) {
        let problem = Problem::Invalid(format!("the key `{key}` is given twice in this generator"));
        return Err(Error::new(place.clone(), problem));
    }
    pairs.insert(key, value);
    Ok(())
}

/// `key=value`; one pair of quotes around the value goes.
fn literal(text: &str) -> Result<(&str, &str), String> {
    let (key, value) =
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("a literal is written `key=value`")?;
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Ok((key, inner));
        }
    }
    Ok((key, value))
}

/// `key=path`, or a path whose last part is the key.
fn file_source(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        None => Ok((text.trim_end_matches('/').rsplit('/').next().unwrap_or_default(), text)),
        Some(("", _)) => Err("the key before `=` is missing".to_owned()),
        Some((_, "")) => Err("the path after `=` is missing".to_owned()),
        Some((_, path)) if path.contains('=') => Err("neither a key nor a path may contain `=`".to_owned()),
        Some(pair) => Ok(pair),
    }
}

/// The lines `KEY=value` of an env file. A key alone has an empty value.
fn env_lines(bytes: &[u8], file: &TreePath) -> Result<Vec<(String, String)>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::new(Place::of(file), Problem::NotUtf8))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut pairs = Vec::new();
    for line in lines {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        // The reference takes a line without a key for an empty one.
        if !key.is_empty() {
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_lose_one_pair_of_quotes() {
        assert_eq!(literal("a=b=c"), Ok(("a", "b=c")));
        assert_eq!(literal("a=\"b\""), Ok(("a", "b")));
        assert_eq!(literal("a='b\""), Ok(("a", "'b\"")));
        assert_eq!(literal("a="), Ok(("a", "")));
        assert!(literal("=b").is_err() && literal("a").is_err());
    }

    #[test]
    fn file_sources_name_a_key_or_use_the_base_name() {
        assert_eq!(file_source("dir/app.conf"), Ok(("app.conf", "dir/app.conf")));
        assert_eq!(file_source("key=dir/app.conf"), Ok(("key", "dir/app.conf")));
        assert!(file_source("=a").is_err() && file_source("a=").is_err() && file_source("a=b=c").is_err());
    }

    #[test]
    fn env_files_have_comments_and_keys_without_values() {
        let read = |text: &str| env_lines(text.as_bytes(), &TreePath::root());
        let pairs = read("\u{feff}A=1\r\n  # no\n\n B=x y \nC\n").expect("valid");
        let want = [("A", "1"), ("B", "x y "), ("C", "")];
        assert_eq!(pairs, want.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(read("=x\n").expect("valid"), []);
    }
}

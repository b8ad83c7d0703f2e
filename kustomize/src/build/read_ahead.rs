//! Reading the files that a kustomization lists before their turn comes, by several threads. What is read is the same,
//! and so is the first error: whatever cannot be read here is left to its turn. So is a file that aliases make larger
//! than its text: what is read ahead is not paid for yet, and only the text bounds it.

use crate::kustomization::Text;
use crate::options::Limits;
use crate::path::TreePath;
use crate::remote::Remote;
use crate::resource::{self, Resource};
use crate::source::Source;
use std::sync::{Mutex, PoisonError, mpsc};
use std::{iter, thread};

/// The most entries that are read ahead of their turn, and the bytes of text after which no more are.
const ENTRIES: usize = 256;
const BYTES: usize = 4 << 20;
/// With fewer files a thread costs more than it saves.
const FEW: usize = 16;

/// The objects of a file.
pub struct Read {
    pub file: TreePath,
    pub objects: Vec<Resource>,
}

/// A file whose text is there.
struct Unread {
    entry: usize,
    file: TreePath,
    text: String,
}

/// What the first of some entries of `resources:` hold, one item for each; `None` for what must wait for its turn.
pub fn objects(source: Source<'_>, directory: &TreePath, entries: &[Text]) -> Vec<Option<Read>> {
    if source.options.threads < 2 || entries.len() < FEW {
        return none(entries.len());
    }
    let (looked_at, read) = parsed(source, directory, &entries[..entries.len().min(ENTRIES)]);
    let mut objects = none(looked_at);
    for (entry, read) in read {
        objects[entry] = Some(read);
    }
    objects
}

fn none(entries: usize) -> Vec<Option<Read>> {
    iter::repeat_with(|| None).take(entries).collect()
}

/// How many entries were looked at, and the objects of those that are files, in any order, each with its entry. This
/// thread reads the texts while helpers parse, then it helps.
fn parsed(source: Source<'_>, directory: &TreePath, entries: &[Text]) -> (usize, Vec<(usize, Read)>) {
    let (options, (sender, receiver)) = (source.options, mpsc::channel::<Unread>());
    let queue = Mutex::new(receiver);
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let work = || -> Vec<_> { iter::from_fn(take).filter_map(|unread| unread.parse(&options.limits)).collect() };
    let helpers = options.threads.min(entries.len() / (FEW / 2)).saturating_sub(1);
    thread::scope(|scope| {
        // Where no thread can be had, this one does it all.
        let helpers: Vec<_> =
            (0..helpers).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        // The queue ends with the closure that fills it, even in a panic. Somebody takes each text: this thread at last.
        let looked_at = texts(source, directory, entries, move |unread| drop(sender.send(unread)));
        let mut read = work();
        for helper in helpers {
            read.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        (looked_at, read)
    })
}

/// Hands over the texts of the first entries that are files, and says how many entries these are. At least one.
fn texts(source: Source<'_>, directory: &TreePath, entries: &[Text], hand_over: impl Fn(Unread)) -> usize {
    let mut bytes = 0;
    for (entry, name) in entries.iter().enumerate() {
        if bytes > BYTES {
            return entry;
        }
        if let Some((file, text)) = text(source, directory, name) {
            bytes += text.len();
            hand_over(Unread { entry, file, text });
        }
    }
    entries.len()
}

/// The text of an entry that is a file which nobody has read. Its errors come again in its turn.
fn text(source: Source<'_>, directory: &TreePath, entry: &Text) -> Option<(TreePath, String)> {
    if Remote::of(&entry.value).is_some() {
        return None;
    }
    let file = source.file(directory, &entry.value, &entry.place).ok()??;
    if source.files.is_some_and(|files| files.know(&file)) {
        return None;
    }
    let text = source.text(&file).ok()?;
    Some((file, text))
}

impl Unread {
    fn parse(self, limits: &Limits) -> Option<(usize, Read)> {
        let limits = Limits { nodes: limits.nodes.min(self.text.len()), ..*limits };
        let objects = resource::of_file(&self.text, &self.file, &limits).ok()?;
        Some((self.entry, Read { file: self.file, objects }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: String) -> Option<(usize, Read)> {
        let file = TreePath::parse("a.yaml").expect("inside of the tree");
        Unread { entry: 7, file, text }.parse(&Limits::default())
    }

    #[test]
    fn what_aliases_make_larger_than_its_text_waits_for_its_turn() {
        let object =
            |data: &str| format!("apiVersion: v1\nkind: A\nmetadata: {{name: a}}\nx: &x [1, 2, 3]\ndata: {data}\n");
        let (entry, found) = read(object("[*x, *x]")).expect("a few values");
        assert_eq!((entry, found.objects.len()), (7, 1));
        assert!(read(object(&format!("[{}*x]", "*x,".repeat(200)))).is_none());
    }

    #[test]
    fn what_is_wrong_waits_for_its_turn() {
        assert!(read("kind: [".to_owned()).is_none());
        assert!(read("kind: A\n".to_owned()).is_none());
    }
}

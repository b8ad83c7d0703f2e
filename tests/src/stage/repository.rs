//! A git repository as a team has it: a bare one that the forge serves, changed by commits on branches.

use super::Error;
use git2::{BranchType, ObjectType, Oid, Signature, Time, TreeEntry, TreeWalkMode, TreeWalkResult};
use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// A bare repository.
pub struct Repository {
    git: git2::Repository,
    path: PathBuf,
}

impl Repository {
    /// Creates it at `path` with the files of `folder` as the first commit of `main`.
    pub fn create(path: &Path, folder: &Path) -> Result<Self, Error> {
        let mut options = git2::RepositoryInitOptions::new();
        let git = git2::Repository::init_opts(path, options.bare(true).initial_head("main"))?;
        let repository = Self { git, path: path.to_owned() };
        let tree = repository.write_folder(folder)?;
        repository.commit("main", tree, "the beginning")?;
        Ok(repository)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commit that a branch is at.
    pub fn head(&self, branch: &str) -> Result<String, Error> {
        Ok(self.tip(branch)?.to_string())
    }

    /// Starts `branch` where `from` is.
    pub fn branch(&self, branch: &str, from: &str) -> Result<(), Error> {
        let commit = self.git.find_commit(self.tip(from)?)?;
        self.git.branch(branch, &commit, false)?;
        Ok(())
    }

    /// Deletes a branch.
    pub fn delete_branch(&self, branch: &str) -> Result<(), Error> {
        Ok(self.git.find_branch(branch, BranchType::Local)?.delete()?)
    }

    /// Commits one changed or new file to a branch; gives the commit.
    pub fn write(&self, branch: &str, path: &str, content: &str) -> Result<String, Error> {
        let blob = self.git.blob(content.as_bytes())?;
        let mut update = git2::build::TreeUpdateBuilder::new();
        update.upsert(path, blob, git2::FileMode::Blob);
        self.update(branch, &mut update, &format!("change {path}"))
    }

    /// Commits the removal of one file to a branch; gives the commit.
    pub fn remove(&self, branch: &str, path: &str) -> Result<String, Error> {
        let mut update = git2::build::TreeUpdateBuilder::new();
        update.remove(path);
        self.update(branch, &mut update, &format!("remove {path}"))
    }

    /// Commits several files at once, `None` being a removal; gives the commit.
    pub fn change(&self, branch: &str, message: &str, files: &[(&str, Option<&str>)]) -> Result<String, Error> {
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, content) in files {
            match content {
                Some(content) => {
                    update.upsert(*path, self.git.blob(content.as_bytes())?, git2::FileMode::Blob);
                }
                None => {
                    update.remove(*path);
                }
            }
        }
        self.update(branch, &mut update, message)
    }

    /// One file of a branch.
    pub fn read(&self, branch: &str, path: &str) -> Result<String, Error> {
        let tree = self.git.find_commit(self.tip(branch)?)?.tree()?;
        let blob = tree.get_path(Path::new(path))?.to_object(&self.git)?.peel_to_blob()?;
        Ok(String::from_utf8(blob.content().to_vec())?)
    }

    /// Every file of a branch.
    pub fn files(&self, branch: &str) -> Result<Vec<String>, Error> {
        let tree = self.git.find_commit(self.tip(branch)?)?.tree()?;
        let mut files = Vec::new();
        tree.walk(TreeWalkMode::PreOrder, |folder, entry: &TreeEntry<'_>| {
            if let (Some(ObjectType::Blob), Ok(name)) = (entry.kind(), entry.name()) {
                files.push(format!("{folder}{name}"));
            }
            TreeWalkResult::Ok
        })?;
        Ok(files)
    }

    fn tip(&self, branch: &str) -> Result<Oid, Error> {
        let reference = self.git.find_branch(branch, BranchType::Local)?;
        reference.get().target().ok_or_else(|| format!("branch {branch} points nowhere").into())
    }

    fn update(
        &self,
        branch: &str,
        update: &mut git2::build::TreeUpdateBuilder,
        message: &str,
    ) -> Result<String, Error> {
        let old = self.git.find_commit(self.tip(branch)?)?.tree()?;
        let tree = update.create_updated(&self.git, &old)?;
        self.commit(branch, tree, message)
    }

    fn commit(&self, branch: &str, tree: Oid, message: &str) -> Result<String, Error> {
        let author = Signature::new("A Developer", "developer@example.com", &time())?;
        let parent = self.tip(branch).ok().map(|tip| self.git.find_commit(tip)).transpose()?;
        let parents: Vec<_> = parent.iter().collect();
        let reference = format!("refs/heads/{branch}");
        let tree = self.git.find_tree(tree)?;
        Ok(self.git.commit(Some(&reference), &author, &author, message, &tree, &parents)?.to_string())
    }

    fn write_folder(&self, folder: &Path) -> Result<Oid, Error> {
        let mut tree = self.git.treebuilder(None)?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let (id, mode) = match entry.file_type()?.is_dir() {
                true => (self.write_folder(&entry.path())?, git2::FileMode::Tree),
                false => (self.git.blob(&std::fs::read(entry.path())?)?, git2::FileMode::Blob),
            };
            tree.insert(entry.file_name(), id, mode.into())?;
        }
        Ok(tree.write()?)
    }
}

/// The time of every commit that this process makes: the same changes give the same commits, so that two plays of one
/// story can be compared.
fn time() -> Time {
    static BEGUN: OnceLock<i64> = OnceLock::new();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
    Time::new(*BEGUN.get_or_init(now), 0)
}

//! What a caller may choose about a rendering.

/// Choices for one rendering; the default is what the reference's command does without flags.
/// Fields are added in minor versions: end it with `..Options::default()`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which files a kustomization may name.
    pub load_restrictor: LoadRestrictor,
    /// Label every object as managed by this renderer (`app.kubernetes.io/managed-by`).
    pub managed_by_label: bool,
    /// Leave the objects in the order in which they were read, unless the kustomization's
    /// `sortOptions` say otherwise.
    pub keep_order: bool,
    /// Bounds against hostile input.
    pub limits: Limits,
    /// How many threads may read YAML for a rendering, the caller's own among them. The output is the same; whoever
    /// renders many trees at once has no use for more than one.
    pub threads: usize,
}

/// Which files a kustomization may name. Directories (bases, components) are never restricted
/// beyond the file system's own root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadRestrictor {
    /// Only files in or below the kustomization's own directory, after links are resolved.
    #[default]
    RootOnly,
    /// Any file of the tree.
    None,
}

/// Bounds that keep hostile input from exhausting time or memory. Going past one is an error.
/// Fields are added in minor versions: end it with `..Limits::default()`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a single file.
    pub file_bytes: usize,
    /// Values (mappings, lists and scalars) of a single file, after its aliases are expanded.
    pub nodes: usize,
    /// Levels of nesting inside a document.
    pub nesting: usize,
    /// Kustomizations nested inside each other.
    pub bases: usize,
    /// Kustomization files read in the whole rendering, each as often as it is used.
    pub kustomizations: usize,
    /// Repositories and files of web servers that are fetched.
    pub remotes: usize,
    /// Objects of the whole rendering.
    pub objects: usize,
    /// Values that the whole rendering reads, generates and copies; 32 bytes of text count as one, and
    /// so do 16 objects that an entry looks through for those that it means.
    pub total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 16 << 20,
            nodes: 1_000_000,
            nesting: 200,
            bases: 64,
            kustomizations: 10_000,
            remotes: 100,
            objects: 50_000,
            total: 8_000_000,
        }
    }
}

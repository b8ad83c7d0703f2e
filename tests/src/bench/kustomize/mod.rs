//! The renderer beside its reference: `lapdev render` and kustomize (a Go tool of this repository, of the newest version
//! that builds), process against process over the same trees, in turns; the outputs must be the same bytes. And what the
//! reconciler does: Online Boutique in process, which only CI's data has.

mod in_process;
mod process;
mod report;
mod trees;

use crate::stage::Error;
use process::{Pairs, Renderer, Run};
use report::Report;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// A tree, and what must hold over it.
struct Tree {
    path: &'static str,
    objects: usize,
    /// How many times faster than the reference ours must be.
    faster: f64,
    /// How many times as many rounds it gets, because it is quick.
    rounds: usize,
    /// How many runs of one program follow each other in a round. What takes a few milliseconds would else be measured by
    /// what the other program left in the caches: before such a series one run does not count, as hyperfine's warm-up.
    series: usize,
}

/// The trees that both render.
const TREES: [Tree; 4] = [
    Tree { path: "p01-tiny", objects: 2, faster: 5.0, rounds: 3, series: 10 },
    Tree { path: "p03-overlay/overlay", objects: 300, faster: 20.0, rounds: 3, series: 1 },
    Tree { path: "p05-base1000-files/overlay", objects: 1000, faster: 50.0, rounds: 1, series: 1 },
    Tree { path: "p04-50-overlays/aggregate10", objects: 3000, faster: 100.0, rounds: 1, series: 1 },
];
/// The trees between which growth is measured, with their objects: four and fifty overlays of one base.
const SMALL: (&str, usize) = ("p04-50-overlays/aggregate4", 1200);
const LARGE: (&str, usize) = ("p04-50-overlays/aggregate50", 15_000);
/// A run of ours that takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Length {
    /// Rounds over the largest trees; small ones get three times as many, and medians are over these.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds after which the reference is stopped in the largest tree, which takes it minutes.
    #[arg(long, default_value_t = 60.0)]
    stop_after: f64,
}

impl Default for Length {
    fn default() -> Self {
        Self { rounds: 3, stop_after: 60.0 }
    }
}

/// Measures everything and prints the tables; an error when a bound is missed.
///
/// # Errors
/// When a program fails, the outputs differ, or a bound is missed.
pub fn run(length: &Length) -> Result<(), Error> {
    let bench = Bench::prepare()?;
    let mut report = Report::default();
    report.begin(length.rounds);
    for tree in &TREES {
        let pairs = bench.pairs(tree, length.rounds.max(1) * tree.rounds)?;
        report.tree(tree.path, tree.objects, tree.faster, &pairs);
    }
    let small = bench.rounds(SMALL.0, length.rounds * 3)?;
    let large = bench.rounds(LARGE.0, length.rounds)?;
    let limit = Duration::try_from_secs_f64(length.stop_after)?;
    let reference = bench.reference.run(&bench.folder(LARGE.0), &bench.output("reference"), limit)?;
    report.growth(SMALL.1, &small, LARGE.1, &large, &reference);
    match std::env::var_os("LAPDEV_SHARED") {
        Some(shared) => {
            let folder = Path::new(&shared).join("data/online-boutique/kustomize");
            report.boutique(&in_process::boutique(&folder)?);
        }
        None => report.no_boutique(),
    }
    report.print();
    report.verdict()
}

/// The programs, and a folder for trees and outputs that goes with it.
struct Bench {
    reference: Renderer,
    ours: Renderer,
    place: tempfile::TempDir,
}

impl Bench {
    fn prepare() -> Result<Self, Error> {
        let place = tempfile::Builder::new().prefix("lapdev-bench-").tempdir()?;
        let (reference, ours) =
            (Renderer::reference()?.installed(place.path())?, Renderer::ours()?.installed(place.path())?);
        trees::write(place.path())?;
        Ok(Self { reference, ours, place })
    }

    fn folder(&self, tree: &str) -> PathBuf {
        self.place.path().join(tree)
    }

    fn output(&self, of: &str) -> PathBuf {
        self.place.path().join(format!("{of}.yaml"))
    }

    /// Both over one tree, in turns. The first round of all is not counted: it brings the files into memory.
    fn pairs(&self, tree: &Tree, rounds: usize) -> Result<Pairs, Error> {
        let (folder, theirs, ours) = (self.folder(tree.path), self.output("reference"), self.output("ours"));
        self.ours.run(&folder, &ours, PATIENCE)?;
        let series = |program: &Renderer, output: &Path| -> Result<Vec<Run>, Error> {
            if tree.series > 1 {
                program.run(&folder, output, PATIENCE)?;
            }
            (0..tree.series).map(|_| program.run(&folder, output, PATIENCE)).collect()
        };
        let mut pairs = Pairs::default();
        for _ in 0..rounds {
            pairs.reference.extend(series(&self.reference, &theirs)?);
            pairs.ours.extend(series(&self.ours, &ours)?);
            if fs::read(&theirs)? != fs::read(&ours)? {
                return Err(format!("{}: the output is not the reference's", tree.path).into());
            }
        }
        Ok(pairs)
    }

    /// Ours alone.
    fn rounds(&self, tree: &str, rounds: usize) -> Result<Vec<Run>, Error> {
        let (folder, output) = (self.folder(tree), self.output("ours"));
        (0..rounds.max(1)).map(|_| self.ours.run(&folder, &output, PATIENCE)).collect()
    }
}

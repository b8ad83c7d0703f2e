//! The command line: names, flags and environment variables that scripts count on.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Branch environments for Kubernetes, declared in git.
#[derive(Debug, Parser)]
#[command(
    name = "lapdev",
    version,
    after_help = "Exit codes: 0 fine, 1 the input or state is not fine, 2 usage, 3 could not reach, 130 interrupted."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do. Each command's flags are made when it is the one that runs, since starting is most of what a small
/// `lapdev render` takes. A doc comment on what is flattened into a command would then be taken for the command's own
/// description, so those have plain comments.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Run the control plane
    Serve {
        /// Its settings; lapdev.toml.example explains each
        #[arg(long, default_value = "lapdev.toml")]
        config: PathBuf,
    },
    /// Check a config repository's folder and print every error as path:line:column
    Validate {
        /// The config repository's work tree
        dir: PathBuf,
        /// The folder in it that lapdev reads: `lapdev` where there is one, else all of it
        #[arg(long)]
        path: Option<String>,
        /// How to print
        #[arg(short, long, default_value = "text")]
        output: ReportFormat,
    },
    /// Print the objects of a kustomization, as `kubectl kustomize` does
    Render(Render),
    /// Show environments or clusters
    Get {
        /// Which
        #[command(subcommand)]
        what: Get,
    },
    /// Say why an environment exists, why each of its workloads runs, how they are, and what traffic they had
    Explain {
        /// The environment
        name: String,
        /// The control plane
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Send a probe through a Branch environment and name the service that dropped its key; exit 1 if one did
    Trace {
        /// The environment
        name: String,
        /// The Service to begin at: one that the base routes; its first preview's if it is left out
        #[arg(long)]
        service: Option<String>,
        /// The path of the probe's GET, with query; one that makes the service call others
        #[arg(long, default_value = "/")]
        path: String,
        /// How to print
        #[arg(short, long, default_value = "table")]
        output: Format,
        /// The control plane
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Join what should be with what each cluster holds; exit 1 on anything left behind or missing
    Audit {
        /// How to print
        #[arg(short, long, default_value = "table")]
        output: Format,
        /// The control plane
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Make, list and revoke the tokens that clusters' agents connect with
    Token {
        /// Which
        #[command(subcommand)]
        what: Token,
    },
}

// `lapdev render`.
#[derive(Debug, Args)]
pub struct Render {
    /// A folder with a kustomization file, or the address of a git repository with one:
    /// https://HOST/OWNER/REPOSITORY//DIR?ref=REF
    #[arg(default_value = ".")]
    pub dir: String,
    /// Write to a file, or one file for each object into a folder that is there
    #[arg(short, long, value_name = "FILE|DIR")]
    pub output: Option<PathBuf>,
    /// Whether files outside of the folder may be read
    #[arg(long, default_value = "LoadRestrictionsRootOnly")]
    pub load_restrictor: LoadRestrictor,
    /// Add the label app.kubernetes.io/managed-by
    #[arg(long)]
    pub enable_managedby_label: bool,
    /// The order of the objects, where the kustomization's sortOptions say nothing
    #[arg(long, default_value = "legacy")]
    pub reorder: Reorder,
    /// Charts
    #[command(flatten)]
    pub helm: Helm,
    /// What is for functions
    #[command(flatten)]
    pub functions: Functions,
}

// Charts in kustomizations.
#[derive(Debug, Args)]
pub struct Helm {
    /// Render helmCharts with the helm that is installed
    #[arg(long)]
    pub enable_helm: bool,
    /// The helm to run
    #[arg(long, default_value = "helm", value_name = "PROGRAM")]
    pub helm_command: String,
    /// A version of an API that charts shall find, unless the kustomization names some; may be given several times
    #[arg(long, value_name = "VERSION")]
    pub helm_api_versions: Vec<String>,
    /// The version of Kubernetes that charts shall find, unless the kustomization names one
    #[arg(long, default_value = "", value_name = "VERSION", hide_default_value = true)]
    pub helm_kube_version: String,
    /// Let helm explain what goes wrong
    #[arg(long)]
    pub helm_debug: bool,
}

// Flags of the reference for what is not run here. They are known, so that it can be said.
#[derive(Debug, Args)]
pub struct Functions {
    /// An environment variable for functions: changes nothing here
    #[arg(short, long, hide = true)]
    pub env: Vec<String>,
    /// Runs functions as this user: changes nothing here
    #[arg(long, hide = true)]
    pub as_current_user: bool,
    /// Gives functions a network: changes nothing here
    #[arg(long, hide = true)]
    pub network: bool,
    /// Which network: changes nothing here
    #[arg(long, hide = true)]
    pub network_name: Option<String>,
    /// Storage for functions: changes nothing here
    #[arg(long, hide = true)]
    pub mount: Vec<String>,
    /// Runs plugins: refused
    #[arg(long, hide = true)]
    pub enable_alpha_plugins: bool,
    /// Runs programs: refused
    #[arg(long, hide = true)]
    pub enable_exec: bool,
}

/// The order of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reorder {
    /// Namespaces first, webhooks last
    Legacy,
    /// As in the files
    None,
}

/// Whether files outside of the folder may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoadRestrictor {
    /// They may not
    #[value(name = "LoadRestrictionsRootOnly")]
    RootOnly,
    /// They may
    #[value(name = "LoadRestrictionsNone")]
    None,
}

// `lapdev get`.
#[derive(Debug, Subcommand)]
pub enum Get {
    /// Every environment
    Environments(List),
    /// One environment
    Environment {
        /// Its name
        name: String,
        /// As for lists
        #[command(flatten)]
        list: List,
    },
    /// Every cluster
    Clusters(List),
}

// What every listing takes.
#[derive(Debug, Args)]
pub struct List {
    /// How to print
    #[arg(short, long, default_value = "table")]
    pub output: Format,
    /// The control plane
    #[command(flatten)]
    pub server: ServerArgs,
}

// `lapdev token`.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make one and print it: it is shown only now
    Create {
        /// The cluster
        cluster: String,
        /// The control plane
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List a cluster's, without the secrets
    List {
        /// The cluster
        cluster: String,
        /// How to print
        #[arg(short, long, default_value = "table")]
        output: Format,
        /// The control plane
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Revoke one, which ends its agent's session, or all of a cluster's
    Revoke {
        /// The cluster
        cluster: String,
        /// As `token list` names it
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Every one of the cluster
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// The control plane
        #[command(flatten)]
        server: ServerArgs,
    },
}

// Which control plane, and as whom.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Its address
    #[arg(long, env = "LAPDEV_SERVER", default_value = "https://127.0.0.1:8443")]
    pub server: String,
    /// The file with its admin token: admin.token in its data folder
    #[arg(long, env = "LAPDEV_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// A certificate authority to trust besides the system's, PEM
    #[arg(long, env = "LAPDEV_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// How to print data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// As the API answers
    Json,
    /// The same as YAML
    Yaml,
}

/// How to print a report of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// A line each
    Text,
    /// For programs
    Json,
}

//! The reference's flags for functions and plugins, which are programs and containers: none runs here, and who asks for
//! one is told.

use crate::{args::Functions, exit::Failure, output::message};

/// Refuses what would have run something, and says of what only concerns such runs that it changes nothing.
pub fn check(flags: &Functions) -> Result<(), Failure> {
    let refused = [("--enable-alpha-plugins", flags.enable_alpha_plugins), ("--enable-exec", flags.enable_exec)];
    if let Some((flag, _)) = refused.iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format!(
            "{flag}: lapdev runs neither programs nor containers of a kustomization; leave the flag out, and render with \
             built-in generators and transformers"
        )));
    }
    let idle = [
        ("--env", !flags.env.is_empty()),
        ("--as-current-user", flags.as_current_user),
        ("--network", flags.network),
        ("--network-name", flags.network_name.is_some()),
        ("--mount", !flags.mount.is_empty()),
    ];
    for (flag, _) in idle.iter().filter(|(_, given)| *given) {
        message(format_args!("lapdev: {flag} changes nothing: it is for functions, which lapdev does not run"));
    }
    Ok(())
}

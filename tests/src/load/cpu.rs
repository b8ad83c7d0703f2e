//! The processor time that a process took, from /proc.

use std::{io, time::Duration};

/// Linux counts processor time for user space in ticks of this length on every architecture that matters here.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of all threads of a process so far; `self` is this one.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: &str) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat).map(|ticks| TICK * ticks).ok_or_else(|| io::Error::other(format!("no times in {stat}")))
}

/// Fields 14 and 15 of the whole line. The name before may itself hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit(") ").next()?.split(' ').skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_whatever_the_program_is_called() {
        assert_eq!(ticks("7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20"), Some(150));
        assert!(cpu_time("self").is_ok());
    }
}

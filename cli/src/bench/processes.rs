//! What processes have cost, as the kernel counts it. Where there is no `/proc`, nothing.

use std::{collections::BTreeMap, fs};

use super::{
    figure::{Reading, Unit},
    part::Part,
    stack::Stack,
};

/// The kernel tells times in hundredths of a second to every program, whatever it counts in itself.
const TICKS_IN_SECOND: f64 = 100.0;
const MICROSECONDS: f64 = 1e6;

/// One process: its parent, and the time on a core of itself and of its ended children, in ticks.
struct Process {
    parent: u32,
    ticks: u64,
}

/// What each of our processes and each private server has spent so far, by its name, in seconds.
pub(super) fn spent(stack: &Stack<'_>, others: &[&Part]) -> Vec<(&'static str, f64)> {
    let ours = stack.parts.iter().chain(others.iter().copied());
    let mut all: Vec<_> = ours
        .filter(|part| part.is_ours())
        .map(|part| (part.name(), cpu_seconds(part.pid())))
        .collect();
    if let Some((postgres, redis)) = stack.ground.server_pids() {
        all.push(("PostgreSQL", cpu_seconds(postgres)));
        all.push(("Redis", cpu_seconds(redis)));
    }
    all
}

/// What each of them spent between two looks on one of `count` equal pieces of work. Unlike a rate, that
/// hardly follows what else the machine has to do.
pub(super) fn shares(
    name: &str,
    before: &[(&'static str, f64)],
    after: &[(&'static str, f64)],
    count: f64,
) -> Vec<Reading> {
    let shares = after.iter().map(|(part, later)| {
        let earlier = before.iter().find(|(other, _)| other == part);
        let spent = later - earlier.map_or(0.0, |(_, seconds)| *seconds);
        Reading::new(
            format!("{name}, each in {part}"),
            spent * MICROSECONDS / count,
            Unit::CoreMicroseconds,
        )
    });
    shares.collect()
}

/// Time on a core of a process, of all below it, and of those below it that have ended, in seconds.
#[expect(clippy::cast_precision_loss, reason = "hundredths of a second")]
fn cpu_seconds(head: u32) -> f64 {
    let all = processes();
    let ticks: u64 = all
        .iter()
        .filter(|(pid, _)| is_below(&all, **pid, head))
        .map(|(_, process)| process.ticks)
        .sum();
    ticks as f64 / TICKS_IN_SECOND
}

/// The processes that this one has started and that still run.
pub(super) fn children(head: u32) -> Vec<u32> {
    let all = processes();
    let children = all.iter().filter(|(_, process)| process.parent == head);
    children.map(|(pid, _)| *pid).collect()
}

fn is_below(all: &BTreeMap<u32, Process>, pid: u32, head: u32) -> bool {
    let mut at = pid;
    while at != head {
        match all.get(&at) {
            Some(process) if process.parent != 0 => at = process.parent,
            Some(_) | None => return false,
        }
    }
    true
}

fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    let running = entries.filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parse(&stat)?))
    });
    running.collect()
}

/// `pid (name) state parent …`; the name may hold anything.
fn parse(stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // utime, stime, cutime, cstime.
    let ticks = [11, 12, 13, 14]
        .map(number)
        .into_iter()
        .sum::<Option<u64>>()?;
    Some(Process {
        parent: u32::try_from(number(1)?).ok()?,
        ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a ) b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.ticks), (3, 100));
    }

    #[test]
    fn our_own_time_is_counted_with_our_children() {
        let all = processes();
        let own = std::process::id();
        assert!(is_below(&all, own, own));
        assert!(is_below(&all, own, 1) || all.is_empty());
        assert!(!is_below(&all, 1, own));
    }
}

//! The small model: what must hold of the engine, whatever happens, in a few rules.
//!
//! The occupancy of a tenant is its live slots and its live leases together: a slot may become a lease
//! at any moment. It may exceed the limit only after the limit was lowered, then it only falls; and
//! nothing new is admitted before it is below.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::{prop_assert, prop_assert_eq, test_runner::TestCaseError};
use unity_shared::{
    ids::{JobId, TenantId},
    jobs::JobStatus,
    tenancy::{OwnJobLimits, Plan},
};

use super::{
    observe::{Event, Row, Sight},
    steps::{KINDS, Scope, Step, TENANTS},
    world::{Effects, tenant},
};

type Checked = Result<(), TestCaseError>;

/// A tenant, and the kind where it is about a kind's own limit.
type Limited = (usize, Option<usize>);

/// A limit as the gate knows it, and the most that may be occupied while it drains.
#[derive(Clone, Copy)]
struct Limit {
    most: usize,
    cap: usize,
}

/// What the model remembers.
pub struct Model {
    rows: BTreeMap<JobId, Row>,
    /// Who stood in a line, and where.
    lines: HashMap<JobId, f64>,
    slots: Vec<BTreeSet<JobId>>,
    open: bool,
    limits: HashMap<Limited, Limit>,
    /// As the rows have them: the most of all kinds, and of probes.
    stated: Vec<(usize, Option<usize>)>,
    /// Switches by their end, as the rows have them and as the gate knows them.
    stated_pauses: Vec<(Scope, i64)>,
    pauses: Vec<(Scope, i64)>,
}

impl Model {
    pub fn new() -> Self {
        let plan = OwnJobLimits::default().or(Plan::Pro).max_concurrent;
        let mut model = Self {
            rows: BTreeMap::new(),
            lines: HashMap::new(),
            slots: vec![BTreeSet::new(); TENANTS.len()],
            open: true,
            limits: HashMap::new(),
            stated: vec![(usize::try_from(plan).unwrap(), None); TENANTS.len()],
            stated_pauses: Vec::new(),
            pauses: Vec::new(),
        };
        for index in 0..TENANTS.len() {
            model.announce_limits(index);
        }
        model
    }

    /// The rows as they were after the last step, in the order of their making.
    pub fn rows(&self) -> Vec<Row> {
        self.rows.values().cloned().collect()
    }

    /// Compares what steps have done with what they may do, and remembers it.
    pub fn follow(&mut self, effects: &Effects, sight: &Sight) -> Checked {
        let before = self.limits.clone();
        for index in &effects.announced_limits {
            self.announce_limits(*index);
        }
        let paused_before = std::mem::take(&mut self.pauses);
        self.pauses = if effects.announced_switches {
            self.stated_pauses.clone()
        } else {
            paused_before.clone()
        };
        self.check_rows(sight)?;
        self.check_effects(effects, sight)?;
        check_events(sight)?;
        for index in 0..TENANTS.len() {
            self.check_limits(index, &before, sight)?;
            self.check_pauses(index, &paused_before, sight)?;
            check_keys(index, sight)?;
            self.check_order(index, sight)?;
        }
        if sight.open() {
            check_places(sight)?;
        }
        self.rows = sight.rows.iter().map(|row| (row.id, row.clone())).collect();
        self.lines = sight.lines();
        self.open = sight.open();
        for index in 0..TENANTS.len() {
            self.slots[index] = sight.live_slots(&tenant(index));
        }
        Ok(())
    }

    /// Notes what the rows say of limits now.
    pub fn note_decision(&mut self, step: &Step) {
        if let Step::Limit {
            tenant,
            most,
            of_probes,
            ..
        } = step
        {
            let of_probes = of_probes.map(|most| most as usize);
            self.stated[*tenant] = (usize::try_from(*most).unwrap(), of_probes);
        }
    }

    /// The switches that are on, as their rows say.
    pub fn state_pauses(&mut self, pauses: Vec<(Scope, i64)>) {
        self.stated_pauses = pauses;
    }

    fn announce_limits(&mut self, index: usize) {
        let (most, of_probes) = self.stated[index];
        self.set((index, None), Some(most));
        self.set((index, Some(0)), of_probes);
    }

    fn set(&mut self, whose: Limited, most: Option<usize>) {
        let most = most.unwrap_or(usize::MAX);
        let cap = self.limits.get(&whose).map_or(most, |limit| limit.cap);
        self.limits.insert(whose, Limit { most, cap });
    }

    /// No job vanishes, fences rise, and each status follows from the one before.
    fn check_rows(&self, sight: &Sight) -> Checked {
        let now: HashMap<JobId, &Row> = sight.rows.iter().map(|row| (row.id, row)).collect();
        for (id, before) in &self.rows {
            let Some(after) = now.get(id) else {
                return Err(TestCaseError::fail(format!("job {id} is gone")));
            };
            prop_assert!(
                after.fence >= before.fence,
                "the fence of {id} fell from {} to {}",
                before.fence,
                after.fence
            );
            prop_assert!(
                may_follow(before.status, after.status)
                    || (may_follow(before.status, JobStatus::Queued)
                        && may_follow(JobStatus::Queued, after.status)),
                "{id} went from {:?} to {:?}",
                before.status,
                after.status
            );
            if after.status == JobStatus::Running && before.status != JobStatus::Running {
                prop_assert_eq!(after.fence, before.fence + 1, "the fence of a claim");
            }
            prop_assert!(
                after.attempt <= after.max_attempts,
                "{id} is at attempt {} of {}",
                after.attempt,
                after.max_attempts
            );
        }
        Ok(())
    }

    /// A claim starts what is due and was not late; a verdict counts for the attempt that runs.
    fn check_effects(&self, effects: &Effects, sight: &Sight) -> Checked {
        for job in &effects.claimed {
            // What was ordered in the same step was due at once.
            let Some(row) = self.rows.get(&job.id) else {
                continue;
            };
            prop_assert!(row.run_at <= sight.now, "{} began before its time", job.id);
            let late = row.expires_at.is_some_and(|end| end <= sight.now);
            prop_assert!(
                !late || row.fence > 0,
                "{} began although it had expired",
                job.id
            );
        }
        for verdict in &effects.handed_in {
            let counts = self
                .rows
                .get(&verdict.id)
                .is_some_and(|row| row.status == JobStatus::Running && row.fence == verdict.fence);
            // A job that began and ended in one step (a stop) was queued before it.
            let began = self
                .rows
                .get(&verdict.id)
                .is_some_and(|row| row.fence + 1 == verdict.fence);
            prop_assert!(
                verdict.counted == counts || (verdict.counted && began),
                "a verdict on {} under fence {} counted: {}",
                verdict.id,
                verdict.fence,
                verdict.counted
            );
        }
        Ok(())
    }

    fn check_limits(
        &mut self,
        index: usize,
        before: &HashMap<Limited, Limit>,
        sight: &Sight,
    ) -> Checked {
        let name = tenant(index);
        let slots = sight.live_slots(&name);
        let running: BTreeSet<JobId> = sight.live_rows(&name).map(|row| row.id).collect();
        let admitted: BTreeSet<JobId> = slots
            .difference(&self.slots[index])
            .filter(|id| !running.contains(id))
            .copied()
            .collect();
        for kind in [None, Some(0)] {
            let of_kind = |id: &&JobId| kind.is_none_or(|kind| is_of_kind(sight, **id, kind));
            let occupied = slots.union(&running).filter(of_kind).count();
            let newly = admitted.iter().filter(of_kind).count();
            let Limit { most, cap } = self.limits[&(index, kind)];
            let highest = most.max(before[&(index, kind)].most);
            let allowed = cap.max(most);
            prop_assert!(
                occupied <= allowed,
                "{name} occupies {occupied} of {allowed} (kind {kind:?}): slots {slots:?}, running {running:?}"
            );
            prop_assert!(
                newly == 0 || occupied <= highest,
                "{name} was admitted {newly} more while it occupies {occupied} of {highest} (kind {kind:?})"
            );
            let cap = most.max(allowed.min(occupied));
            self.limits.insert((index, kind), Limit { most, cap });
        }
        prop_assert!(
            admitted.is_empty() || sight.open() || self.open,
            "{name} was admitted {admitted:?} by a closed gate"
        );
        Ok(())
    }

    /// Of the jobs of a kind and a resource key, none is admitted past one that stood before it in the
    /// line and still does.
    fn check_order(&self, index: usize, sight: &Sight) -> Checked {
        let (name, lines) = (tenant(index), sight.lines());
        let slots = sight.live_slots(&name);
        let key_of = |row: &Row| row.resource_key.clone().map(|key| (row.kind.clone(), key));
        for row in sight.rows.iter().filter(|row| slots.contains(&row.id)) {
            let (Some(key), Some(own)) = (key_of(row), self.lines.get(&row.id)) else {
                continue;
            };
            let overtaken = sight.rows.iter().find(|other| {
                let stood = self.lines.get(&other.id).is_some_and(|place| place < own);
                stood
                    && lines.contains_key(&other.id)
                    && other.tenant == name
                    && other.fence == self.rows.get(&other.id).map_or(0, |row| row.fence)
                    && key_of(other).as_ref() == Some(&key)
            });
            prop_assert!(
                overtaken.is_none(),
                "{} of {key:?} was admitted past {:?}",
                row.id,
                overtaken.map(|row| row.id)
            );
        }
        Ok(())
    }

    /// Whether a switch that the rows have on concerns the tenant or a kind.
    pub fn is_paused(&self, index: usize, sight: &Sight) -> bool {
        let now = sight.now.timestamp_millis();
        self.stated_pauses
            .iter()
            .any(|(scope, until)| *until > now && scope.tenant.is_none_or(|one| one == index))
    }

    /// Nothing is admitted that was paused all the while, as far as the gate knew.
    fn check_pauses(&self, index: usize, before: &[(Scope, i64)], sight: &Sight) -> Checked {
        let now = sight.now.timestamp_millis();
        let running: BTreeSet<JobId> = sight.live_rows(&tenant(index)).map(|row| row.id).collect();
        for id in sight.live_slots(&tenant(index)) {
            if self.slots[index].contains(&id) || running.contains(&id) {
                continue;
            }
            let paused = self.pauses.iter().any(|pause| {
                let Scope { tenant, kind } = pause.0;
                before.contains(pause)
                    && pause.1 > now
                    && tenant.is_none_or(|tenant| tenant == index)
                    && kind.is_none_or(|kind| is_of_kind(sight, id, kind))
            });
            prop_assert!(!paused, "{id} was admitted although it is paused");
        }
        Ok(())
    }
}

fn is_of_kind(sight: &Sight, id: JobId, kind: usize) -> bool {
    sight
        .rows
        .iter()
        .any(|row| row.id == id && row.kind == KINDS[kind])
}

/// One step of a job's life at most, or none. Loops and workers in one step may make two of them, by
/// way of the queue.
fn may_follow(before: JobStatus, after: JobStatus) -> bool {
    use JobStatus::{
        Cancelled, Failed, Queued, Retrying, Running, Scheduled, Succeeded, Superseded,
    };
    before == after
        || match before {
            Scheduled => matches!(after, Queued | Failed | Cancelled | Superseded),
            Queued => matches!(after, Running | Failed | Cancelled | Superseded),
            Running => matches!(after, Succeeded | Failed | Cancelled | Retrying | Queued),
            Retrying => matches!(after, Queued | Cancelled | Superseded),
            Failed | Cancelled => after == Queued,
            Succeeded | Superseded => false,
        }
}

/// At most one job of a tenant and a resource key runs.
fn check_keys(index: usize, sight: &Sight) -> Checked {
    let mut keys = BTreeMap::new();
    for row in sight.live_rows(&tenant(index)) {
        if let Some(key) = &row.resource_key {
            let other = keys.insert(key, row.id);
            prop_assert!(
                other.is_none(),
                "{} and {other:?} run under one key {key}",
                row.id
            );
        }
    }
    Ok(())
}

/// A job that the gate knows stands in one place, and nothing else does.
fn check_places(sight: &Sight) -> Checked {
    for (id, places) in sight.places() {
        prop_assert!(places.len() == 1, "the gate has {id} in {places:?}");
    }
    Ok(())
}

/// Sequences have no gaps, and a job ends once until it is queued again.
pub fn check_events(sight: &Sight) -> Checked {
    let mut last: HashMap<&TenantId, i64> = HashMap::new();
    let mut of_job: HashMap<JobId, Vec<&Event>> = HashMap::new();
    for event in &sight.events {
        let expected = last.entry(&event.tenant).or_default();
        *expected += 1;
        prop_assert_eq!(
            event.sequence,
            *expected,
            "the sequence of {}",
            &event.tenant
        );
        of_job.entry(event.job).or_default().push(event);
    }
    for row in &sight.rows {
        let mut ended = None;
        for event in of_job.get(&row.id).into_iter().flatten() {
            let is_end = ["succeeded", "failed", "cancelled", "superseded"]
                .into_iter()
                .find(|end| event.name == format!("job.{end}"));
            prop_assert!(
                ended.is_none() || (is_end.is_none() && event.name == "job.queued"),
                "{} after {} had ended as {:?}",
                event.name,
                row.id,
                ended
            );
            ended = is_end;
        }
        let status = row.status.is_final().then(|| row.status.as_str());
        prop_assert_eq!(ended, status, "the last event of {}", row.id);
    }
    Ok(())
}

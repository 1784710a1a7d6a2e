//! How fast durable jobs are taken in through HTTP, with a key: one by one over 1, 64 and 256
//! connections, of one tenant and of a hundred, and in batches. Nobody carries them out meanwhile.

use anyhow::Result;

use super::{
    Bench, Tenants,
    figure::{Reading, Unit},
    http::Request,
    limits,
    load::{Load, Tally},
    orders::{BATCH, TAKEN, batch_order, no_op, order},
    say,
    stack::Stack,
    tenants::Tenant,
};

/// One figure: so many connections, of so many tenants, with so many jobs in a request.
struct Case {
    connections: usize,
    tenants: Tenants,
    jobs: usize,
}

const fn case(connections: usize, tenants: Tenants, jobs: usize) -> Case {
    Case {
        connections,
        tenants,
        jobs,
    }
}

/// Batches come last: an API that does not take them is measured without.
const CASES: [Case; 7] = [
    case(1, Tenants::One, 1),
    case(64, Tenants::One, 1),
    case(256, Tenants::One, 1),
    case(64, Tenants::Many, 1),
    case(1, Tenants::One, BATCH),
    case(16, Tenants::One, BATCH),
    case(64, Tenants::One, BATCH),
];
/// Nothing runs, so nothing depends on it.
const TENANT_LIMIT: u32 = 100;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for case in CASES {
        if !bench.wants(&case.name(bench)) {
            continue;
        }
        // On rows and lists as empty as those of the other cases.
        let mut stack = Stack::start(bench).await?;
        let tenants = stack
            .orderers(bench.count(case.tenants), TENANT_LIMIT)
            .await?;
        let tally = measure(bench, &stack, &case, &tenants).await?;
        stack.end().await?;
        match tally {
            Some(tally) => readings.extend(case.readings(bench, &tally)),
            None => break,
        }
    }
    Ok(readings)
}

/// None if the API does not take batches.
async fn measure(
    bench: &Bench,
    stack: &Stack<'_>,
    case: &Case,
    tenants: &[Tenant],
) -> Result<Option<Tally>> {
    if let Some(tenant) = tenants.first()
        && case.jobs > 1
        && !stack.takes_batches(tenant).await?
    {
        say("enqueue: this API takes no batches, so they are not measured");
        return Ok(None);
    }
    let payload = no_op();
    let requests: Vec<Request> = tenants
        .iter()
        .map(|tenant| match case.jobs {
            1 => order(tenant, &payload),
            jobs => batch_order(tenant, &payload, jobs),
        })
        .collect();
    let load = Load {
        address: stack.api,
        clients: rotated(&requests, case.connections),
        expected: TAKEN,
    };
    Ok(Some(load.keep_up(bench.sizes.load).await?))
}

/// Every client asks for every tenant, each beginning with another.
pub(super) fn rotated(requests: &[Request], clients: usize) -> Vec<Vec<Request>> {
    let of_client = |number: usize| {
        let mut own = requests.to_vec();
        own.rotate_left(number % requests.len().max(1));
        own
    };
    (0..clients).map(of_client).collect()
}

impl Case {
    #[expect(clippy::cast_precision_loss, reason = "a count of jobs in a request")]
    fn readings(&self, bench: &Bench, tally: &Tally) -> Vec<Reading> {
        let name = self.name(bench);
        let limit = if self.jobs == 1 {
            limits::COMMITS
        } else {
            limits::INSERTS
        };
        let rate = tally.rate() * self.jobs as f64;
        let readings = [
            Reading::new(name.clone(), rate, Unit::JobsPerSecond).against(limit),
            Reading::new(
                format!("{name}, p50"),
                tally.percentile(0.5),
                Unit::Milliseconds,
            ),
            Reading::new(
                format!("{name}, p99"),
                tally.percentile(0.99),
                Unit::Milliseconds,
            ),
        ];
        let described = readings.into_iter().map(|reading| {
            reading
                .with("connections", self.connections)
                .with("tenants", bench.count(self.tenants))
                .with("jobs_per_request", self.jobs)
                .with("seconds", bench.sizes.load.as_secs_f64())
                .with("requests", tally.answers)
        });
        described.collect()
    }

    fn name(&self, bench: &Bench) -> String {
        let connections = match self.connections {
            1 => "1 connection".to_owned(),
            many => format!("{many} connections"),
        };
        match (self.tenants, self.jobs) {
            (Tenants::One, 1) => connections,
            (Tenants::One, jobs) => format!("batches of {jobs}, {connections}"),
            (Tenants::Many, _) => format!("{connections}, {}", bench.name(self.tenants)),
        }
    }
}

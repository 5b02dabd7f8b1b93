//! Zero drift: what auditors find on a log after everybody has left.

use event_store::log::connect_options;
use migrations::Role;
use projections::{Feed, Options, Retry, Runner};
use replay_tool::verify::{Finding, Observer, Part, VerifyOptions, verify};
use tokio_util::sync::CancellationToken;

use crate::app::{App, PATIENCE};

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Observer for Findings {
    fn progress(&mut self, _: Part, _: u64, _: u64) {}

    fn finding(&mut self, finding: &Finding) {
        self.0.push(finding.clone());
    }
}

const OUT_OF_BALANCE: &str = "
    select count(*) filter (where debits_posted <> credits_posted), count(*)
    from (
        select sum(debits_posted) as debits_posted, sum(credits_posted) as credits_posted
        from read.trial_balance group by ledger, currency
    ) as sums";

impl App {
    /// The projections catch up, the trial balance is zero, and `verify` finds nothing.
    pub(crate) async fn proves_zero_drift(&self) {
        let head = self.project_all().await;
        let mut owner = self.database.owner().await;
        let (broken, all): (i64, i64) =
            sqlx::query_as(OUT_OF_BALANCE).fetch_one(&mut owner).await.expect("sums");
        assert_eq!(broken, 0, "debits are credits in every ledger and currency");
        assert!(all > 0, "something was posted");
        let auditor = self.database.url(Role::Auditor);
        let options =
            VerifyOptions { read_models: true, full_speed: true, ..VerifyOptions::of(auditor) };
        let mut findings = Findings::default();
        let summary = verify(&options, &mut findings).await.expect("verified");
        assert_eq!(findings.0, [], "nothing is wrong");
        assert!(summary.clean());
        assert_eq!(summary.to, head, "all of the log");
    }

    /// Runs the projections up to the head of the log, which it returns.
    async fn project_all(&self) -> i64 {
        let store = &self.service.store;
        let head = *store.head().borrow();
        let options = Options {
            database: connect_options(&self.database.url(Role::Projector)).expect("a URL"),
            projections: projections::all(),
            feed: Feed::Process(store.recent()),
            retry: Retry::default(),
        };
        let (runner, handle) = Runner::new(options);
        let stop = CancellationToken::new();
        let running = tokio::spawn(runner.run(stop.clone()));
        for projection in projections::all() {
            let applied = handle.wait_for(projection.name(), head);
            let applied = tokio::time::timeout(PATIENCE, applied).await.expect("in time");
            applied.expect("it runs");
        }
        stop.cancel();
        running.await.expect("it stops");
        head.number()
    }
}

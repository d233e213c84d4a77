//! Sinks that are broken on purpose, each in one way: what the harness has to see.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::marker::PhantomData;

use siemline::delivery::{Batch, Delivery, Disposition, Error, EventView, LaneDefaults, Sink, Verdict, Verdicts};

use super::play::{Destination, Law, play};
use super::scenario::{Cell, Scenario};
use super::web::Web;
use super::web::elastic::ElasticKind;
use super::web::hec::HecKind;
use super::web::intakes::SumoKind;

/// One way to break a sink.
trait Breach: Send + Sync + 'static {
    fn send<S: Sink>(sink: &S, batch: &Batch) -> impl Future<Output = Result<Delivery, Error>> + Send;
}

/// A destination whose sink is broken. All else is as it is.
struct Broken<D, B> {
    destination: D,
    breach: PhantomData<B>,
}

struct BrokenSink<S, B> {
    sink: S,
    breach: PhantomData<B>,
}

impl<S: Sink, B: Breach> Sink for BrokenSink<S, B> {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.sink.encode(event, out);
    }

    fn bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.sink.bucket(event, out);
    }

    fn send(&self, batch: &Batch) -> impl Future<Output = Result<Delivery, Error>> + Send {
        B::send(&self.sink, batch)
    }

    fn check(&self) -> impl Future<Output = Result<(), Error>> + Send {
        self.sink.check()
    }
}

impl<D: Destination, B: Breach> Destination for Broken<D, B> {
    const KIND: &'static str = D::KIND;
    const NAME: &'static str = D::NAME;
    const LANE: LaneDefaults = D::LANE;
    type Sink = BrokenSink<D::Sink, B>;

    fn cell(scenario: Scenario) -> Cell {
        D::cell(scenario)
    }

    fn patience(scenario: Scenario) -> &'static str {
        D::patience(scenario)
    }

    async fn start(scenario: Scenario) -> Self {
        Self { destination: D::start(scenario).await, breach: PhantomData }
    }

    async fn sink(&self) -> Self::Sink {
        BrokenSink { sink: self.destination.sink().await, breach: PhantomData }
    }

    fn received(&self) -> BTreeMap<String, u32> {
        self.destination.received()
    }

    fn faults_left(&self) -> usize {
        self.destination.faults_left()
    }

    async fn go_away(&self) {
        self.destination.go_away().await;
    }

    async fn mend(&self) {
        self.destination.mend().await;
    }

    async fn settle(&self) {
        self.destination.settle().await;
    }
}

/// Takes a refusal for success.
struct AcceptsRefusals;

impl Breach for AcceptsRefusals {
    async fn send<S: Sink>(sink: &S, batch: &Batch) -> Result<Delivery, Error> {
        sink.send(batch).await.map(|delivery| Delivery { verdicts: Verdicts::AllAccepted, ..delivery })
    }
}

/// Loses the verdict in the middle: those behind it move up.
struct LosesAVerdict;

impl Breach for LosesAVerdict {
    async fn send<S: Sink>(sink: &S, batch: &Batch) -> Result<Delivery, Error> {
        let mut delivery = sink.send(batch).await?;
        if let Verdicts::Each(verdicts) = &mut delivery.verdicts
            && verdicts.len() > 1
        {
            verdicts.remove(verdicts.len() / 2);
        }
        Ok(delivery)
    }
}

/// Sends everything twice.
struct SendsTwice;

impl Breach for SendsTwice {
    async fn send<S: Sink>(sink: &S, batch: &Batch) -> Result<Delivery, Error> {
        sink.send(batch).await?;
        sink.send(batch).await
    }
}

/// Forgets a batch whose connection was cut.
struct ForgetsAfterACut;

impl Breach for ForgetsAfterACut {
    async fn send<S: Sink>(sink: &S, batch: &Batch) -> Result<Delivery, Error> {
        sink.send(batch).await.or(Ok(Delivery::accepted()))
    }
}

/// Refuses the first event of each batch, which was taken.
struct RefusesTheTaken;

impl Breach for RefusesTheTaken {
    async fn send<S: Sink>(sink: &S, batch: &Batch) -> Result<Delivery, Error> {
        sink.send(batch).await?;
        let mut verdicts = vec![Verdict::Accepted; batch.len()];
        verdicts[0] = Verdict::refused("no_reason", "for no reason");
        Ok(Delivery { verdicts: Verdicts::Each(verdicts), slow_down: None })
    }
}

/// Sends nothing and says that it did.
struct SendsNothing;

impl Breach for SendsNothing {
    async fn send<S: Sink>(_sink: &S, _batch: &Batch) -> Result<Delivery, Error> {
        Ok(Delivery::accepted())
    }
}

/// Sends again and again what nobody will take before a person has mended something.
struct NeverPauses;

impl Breach for NeverPauses {
    async fn send<S: Sink>(sink: &S, batch: &Batch) -> Result<Delivery, Error> {
        sink.send(batch).await.map_err(|error| Error { disposition: Disposition::Retry { after: None }, ..error })
    }
}

/// Pauses where waiting is enough.
struct PausesForNothing;

impl Breach for PausesForNothing {
    async fn send<S: Sink>(sink: &S, batch: &Batch) -> Result<Delivery, Error> {
        sink.send(batch).await.map_err(|error| Error { disposition: Disposition::Pause, ..error })
    }
}

/// Plays a scenario with a sink that is broken, and says which laws the harness found broken.
async fn found<D: Destination, B: Breach>(scenario: Scenario) -> BTreeSet<Law> {
    let Cell::Played(expected) = D::cell(scenario) else { panic!("{scenario:?} is not played") };
    play::<Broken<D, B>>(scenario, expected).await.into_iter().map(|complaint| complaint.law).collect()
}

type Elastic = Web<ElasticKind>;
type Hec = Web<HecKind>;
type Sumo = Web<SumoKind>;

/// Guards the harness itself: for each way to break a sink it names the laws that are broken then, and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_harness_names_the_law_that_is_broken() {
    use Law::*;
    let cases: [(BTreeSet<Law>, &[Law]); 9] = [
        (found::<Elastic, AcceptsRefusals>(Scenario::OneRefused).await, &[SuccessIsSpoken, OnlyTheRefusedAreBuried]),
        (
            found::<Elastic, LosesAVerdict>(Scenario::OneRefused).await,
            &[SuccessIsSpoken, OnlyTheRefusedAreBuried, NoMoreDuplicates],
        ),
        (found::<Sumo, SendsTwice>(Scenario::AllAccepted).await, &[NoMoreDuplicates]),
        (found::<Hec, SendsTwice>(Scenario::Slow).await, &[NoMoreDuplicates]),
        (found::<Sumo, ForgetsAfterACut>(Scenario::CutBefore).await, &[SuccessIsSpoken]),
        (
            found::<Sumo, RefusesTheTaken>(Scenario::AllAccepted).await,
            &[DeadLettersAreUndelivered, OnlyTheRefusedAreBuried],
        ),
        (found::<Sumo, SendsNothing>(Scenario::CutBefore).await, &[SuccessIsSpoken, FaultsLand]),
        (found::<Hec, NeverPauses>(Scenario::UnauthorisedThenRestored).await, &[PausesAreForPeople]),
        (found::<Hec, PausesForNothing>(Scenario::Throttled).await, &[PausesAreForPeople]),
    ];
    for (case, (found, wanted)) in cases.into_iter().enumerate() {
        assert_eq!(found, wanted.iter().copied().collect(), "case {case}");
    }
}

/// Guards that a wait which is not kept is seen, by asking for one that no sink keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_harness_looks_at_the_clock() {
    let Cell::Played(mut expected) = Sumo::cell(Scenario::ThrottledForASecond) else { panic!("it is not played") };
    expected.lasts *= 3600;
    let complaints = play::<Sumo>(Scenario::ThrottledForASecond, expected).await;
    let laws: Vec<Law> = complaints.into_iter().map(|complaint| complaint.law).collect();
    assert_eq!(laws, [Law::WaitsAreKept]);
}

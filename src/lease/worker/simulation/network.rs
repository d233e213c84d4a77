//! The way to the table and back, and the table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Act, Being, CALL_MAX, Changed, Event, Kind, Lease, Ms, Shard, Simulation, memory};

/// One call of a worker.
pub(super) struct Call {
    worker: usize,
    act: Act,
    begun: Duration,
    answer: Answer,
    /// How often it still meets the table.
    meetings: u8,
    is_answered: bool,
}

enum Answer {
    None,
    /// With the number of halves that are in it.
    Scan(BTreeMap<String, Lease>, u8),
    List(Vec<Shard>),
    Changed(Changed),
    Was(bool),
}

/// How long the two halves of a scan lie apart: it is no picture of one moment.
const HALF: Ms = 10;

impl Simulation {
    pub(super) fn call(&mut self, worker: usize, act: Act, begun: Duration) {
        let number = self.calls.len();
        let halves = if act == Act::Scan { 2 } else { 1 };
        let answer = if act == Act::Scan { Answer::Scan(BTreeMap::new(), 0) } else { Answer::None };
        let is_throttled = self.dice.u16(0..300) == 0;
        let is_lost = self.workers[worker].is_cut_off || is_throttled;
        let meetings = if is_lost { 0 } else { halves };
        self.calls.push(Some(Call { worker, act, begun, answer, meetings, is_answered: false }));
        if is_lost {
            self.tally.throttled += u64::from(is_throttled);
            let after = if is_throttled { 20 } else { CALL_MAX };
            return self.at(self.now + after, Event::Answered(number));
        }
        let (there, back) = (self.dice.u64(2..60), self.dice.u64(2..60));
        // A request may be on its way for long, and arrive after it was given up.
        let is_late = worker > 0 && self.dice.u16(0..200) == 0;
        self.tally.late_requests += u64::from(is_late);
        let there = if is_late { there + self.dice.u64(0..5000) } else { there };
        for half in 0..halves {
            self.at(self.now + there + u64::from(half) * HALF, Event::Served(number, half));
        }
        let after = (there + HALF * u64::from(halves) + back).min(CALL_MAX);
        self.at(self.now + after, Event::Answered(number));
    }

    pub(super) fn serve(&mut self, number: usize, half: u8) {
        // What was answered as given up is made all the same.
        let mut call = self.calls[number].take().expect("it has a meeting before it");
        self.tell(call.worker, || format!("{:?}", call.act));
        self.meet(&mut call, half);
        call.meetings -= 1;
        if call.meetings > 0 || !call.is_answered {
            self.calls[number] = Some(call);
        }
    }

    fn meet(&mut self, call: &mut Call, half: u8) {
        let is_made = match &call.act {
            Act::Scan => {
                let Answer::Scan(seen, halves) = &mut call.answer else { unreachable!() };
                let is_in_half = |id: &String| id.as_bytes().last().is_some_and(|last| last % 2 == half);
                *halves += 1;
                for (id, lease) in self.table.iter().filter(|(id, _)| is_in_half(id)) {
                    seen.insert(id.clone(), lease.clone());
                }
                return;
            }
            Act::List => Answer::List(self.stream.iter().map(|stored| stored.shard.clone()).collect()),
            Act::Create { shard, lease } => {
                let is_new = memory::create(&mut self.table, shard, lease);
                if is_new {
                    if !self.ever.insert(shard.clone()) {
                        self.fail(&format!("{shard} has a lease again"));
                    }
                    self.served.insert(shard.clone(), self.now);
                }
                Answer::Was(is_new)
            }
            Act::Change { shard, change } => {
                let before = self.table.get(shard).map(|lease| (lease.checkpoint.clone(), lease.owner.is_some()));
                let changed = memory::apply(&mut self.table, shard, change);
                if let (Some((before, was_owned)), Changed::Done(lease)) = (before, &changed) {
                    let is_owner = |being: &&Being| lease.actual_owner() == Some(&being.id);
                    let owner = self.workers.iter().find(is_owner);
                    if owner.is_some_and(|being| !being.is_alive || being.is_paused || being.is_cut_off) {
                        // A late request, or a hand-over, gives the lease to somebody who is struck already.
                        self.served.insert(shard.clone(), self.now);
                    }
                    self.check_checkpoint(shard, &before, &lease.checkpoint);
                    self.tally.handed_over += u64::from(change.kind == Kind::HandOver);
                    self.tally.taken += u64::from(matches!(change.kind, Kind::Take { .. }) && was_owned);
                }
                Answer::Changed(changed)
            }
            Act::Remove { shard, counter } => {
                let is_finished = self.table.get(shard).is_some_and(Lease::is_finished);
                let is_gone = memory::remove(&mut self.table, shard, *counter);
                if is_gone && !is_finished {
                    self.fail(&format!("the lease of {shard} is removed, and it is not finished"));
                }
                Answer::Was(is_gone)
            }
        };
        call.answer = is_made;
    }

    pub(super) fn answer(&mut self, number: usize) {
        let call = self.calls[number].as_mut().expect("it is not answered yet");
        let worker = call.worker;
        let being = &self.workers[worker];
        if being.is_alive && being.is_paused {
            return self.at(self.now + 100, Event::Answered(number));
        }
        call.is_answered = true;
        let (act, begun) = (call.act.clone(), call.begun);
        let answer = std::mem::replace(&mut call.answer, Answer::None);
        if call.meetings == 0 {
            self.calls[number] = None;
        } else if act == Act::Scan {
            // Nobody looks at the halves that are still to come.
            self.calls[number].as_mut().expect("as before").answer = Answer::Scan(BTreeMap::new(), 0);
        }
        if !being.is_alive {
            // Nobody waits for the answer; a late request may still arrive.
            return;
        }
        let is_lost = being.is_cut_off || (worker > 0 && self.dice.u16(0..300) == 0);
        self.tally.lost_answers += u64::from(is_lost);
        let answer = if is_lost { Answer::None } else { answer };
        self.hand_on(worker, act, answer, begun);
        self.workers[worker].poll_at = self.now;
        self.poll(worker);
    }

    fn hand_on(&mut self, worker: usize, act: Act, answer: Answer, begun: Duration) {
        let now = self.workers[worker].local(self.now);
        let worker = &mut self.workers[worker].worker;
        match (act, answer) {
            (Act::Scan, Answer::Scan(leases, 2)) => worker.scanned(&leases, None, now),
            (Act::Scan, _) => worker.not_scanned(now),
            (Act::List, Answer::List(shards)) => worker.listed(shards, now),
            (Act::List, _) => worker.not_listed(Duration::from_secs(1), now),
            (Act::Create { shard, lease }, Answer::Was(is_new)) => worker.created(&shard, lease, Some(is_new), now),
            (Act::Create { shard, lease }, _) => worker.created(&shard, lease, None, now),
            (Act::Change { shard, change }, Answer::Changed(changed)) => {
                worker.changed(&shard, &change, Some(changed), begun, now);
            }
            (Act::Change { shard, change }, _) => {
                worker.changed(&shard, &change, None, begun, now);
                // The bound holds after each thing that goes wrong: a write without an answer is one.
                self.served.insert(shard, self.now);
            }
            (Act::Remove { shard, .. }, Answer::Was(is_gone)) => worker.removed(&shard, Some(is_gone)),
            (Act::Remove { shard, .. }, _) => worker.removed(&shard, None),
        }
    }
}

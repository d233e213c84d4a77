//! Broken and hostile records: never a panic, nothing lost, no bound broken.

use super::*;

#[track_caller]
fn refused(record: &[u8], limits: Limits) -> &'static str {
    let mut peeler = Peeler::new(limits);
    peeler.peel(record, None).expect_err("it must be refused").code
}

/// The conservation of pieces: at least one or a refusal, numbered in order, bodies inside, every filter named.
fn conserves(peeler: &mut Peeler, record: &[u8]) -> Result<(), String> {
    let limits = Limits::default();
    match peeler.peel(record, Some(1)) {
        Err(refusal) if refusal.code.is_empty() || refusal.words.is_empty() => {
            Err("a refusal without words".to_owned())
        }
        Err(_) => Ok(()),
        Ok(found) => {
            let pieces: Vec<_> = found.pieces().collect();
            if pieces.is_empty() || pieces.len() > limits.events_per_record_max {
                return Err(format!("{} pieces", pieces.len()));
            }
            for (number, piece) in pieces.iter().enumerate() {
                if usize::try_from(piece.index()) != Ok(number) {
                    return Err(format!("piece {number} is numbered {}", piece.index()));
                }
                if let Piece::Event(event) = piece {
                    let text = std::str::from_utf8(event.body).map_err(|error| error.to_string())?;
                    let is_object = text.starts_with('{') && text.ends_with('}');
                    if event.form == Form::Json && !is_object {
                        return Err(format!("no object: {text}"));
                    }
                    // Lambda events and Firehose requests know better when a record arrived.
                    if event.context.get(Field::Arrival).is_none() {
                        return Err("the arrival was forgotten".to_owned());
                    }
                }
            }
            Ok(())
        }
    }
}

/// Every envelope once, alone and in others.
fn corpus() -> Vec<Vec<u8>> {
    let quoted = |text: &str| serde_json::to_string(text).expect("a string is JSON");
    let log_file = format!(r#"{{"Records":[{},{}]}}"#, trail(1), trail(2));
    let event = format!(r#"{{"detail-type":"t","source":"s","id":"9","detail":{log_file}}}"#);
    let findings = r#"{"detail-type":"t","source":"s","detail":{"findings":[{"a":[1,{"b":null}]},{"c":"\u00e9\\"}]}}"#;
    let record = subscription(&format!(
        r#"{{"id":"5","timestamp":1,"message":{}}},{{"id":6,"message":"a\nb","extractedFields":{{"x":"1"}}}}"#,
        quoted(&event)
    ));
    let lines =
        format!("\u{FEFF}{{\"a\":1}}\r\nplain\n{{\n\"b\": [true, false, null, -1e5]\n}}\n[1]\n{findings}\n[{event}]\n");
    let flow = "version account-id action\n2 1 ACCEPT\n2 2 REJECT\n";
    let carried = carriers::records(&[
        carriers::streamed(gzip(record.as_bytes())),
        carriers::queued(&carriers::notification(&event)),
    ]);
    let aggregate = kpl::aggregate(&[event.as_bytes(), b"one\ntwo", &gzip(b"{}")]);
    let request = carriers::delivery(&[&aggregate, &gzip(record.as_bytes()), b"{}"]);
    let plain = [record.as_str(), &event, findings, &log_file, &lines, flow, &carried, &request];
    let plain = plain.map(|text| text.as_bytes().to_vec());
    let mut all = plain.to_vec();
    all.push(aggregate);
    for text in &plain {
        all.extend([gzip(text), zlib(text), zstd(text), gzip(&gzip(text)), [gzip(text), gzip(text)].concat()]);
    }
    all
}

/// Truncations of every envelope at every byte.
#[test]
fn truncated() {
    let mut peeler = Peeler::new(Limits::default());
    for record in corpus() {
        for end in 0..=record.len() {
            let cut = &record[..end];
            conserves(&mut peeler, cut).unwrap_or_else(|why| panic!("{why}: {}", cut.escape_ascii()));
        }
    }
}

/// A truncated compressed record is refused by name, wherever it was cut behind its first bytes.
#[test]
fn truncated_and_corrupt_compression() {
    for (packed, truncated, corrupt) in [
        (gzip(subscription("").as_bytes()), "truncated_gzip", "corrupt_gzip"),
        (zlib(subscription("").as_bytes()), "truncated_zlib", "corrupt_zlib"),
        (zstd(subscription("").as_bytes()), "truncated_zstd", "corrupt_zstd"),
    ] {
        for end in 20..packed.len() {
            assert_eq!(refused(&packed[..end], Limits::default()), truncated, "cut at {end}");
        }
        let mut broken = packed.clone();
        let middle = broken.len() / 2;
        broken[middle..].iter_mut().for_each(|byte| *byte ^= 0x5A);
        let code = refused(&broken, Limits::default());
        assert!(code == corrupt || code == truncated, "{code}");
    }
    let mut wrong_sum = gzip(b"{\"a\":1}");
    let place = wrong_sum.len() - 6;
    wrong_sum[place] ^= 1;
    assert_eq!(refused(&wrong_sum, Limits::default()), "corrupt_gzip");
    let second_cut = [gzip(b"one"), gzip(b"two")[..15].to_vec()].concat();
    assert_eq!(refused(&second_cut, Limits::default()), "truncated_gzip");
}

/// Random changes of every envelope.
#[test]
fn mutated() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let corpus = corpus();
    let mut peeler = Peeler::new(Limits::default());
    for _ in 0..60_000 {
        let mut record = corpus[random.usize(..corpus.len())].clone();
        for _ in 0..=random.usize(..4) {
            let place = random.usize(..record.len());
            match random.u8(..5) {
                0 => record[place] = random.u8(..),
                1 => record[place] = *random.choice(br#"{}[]",:\"#).expect("there are some"),
                2 => drop(record.drain(place..(place + random.usize(..9)).min(record.len()))),
                3 => record.insert(place, *random.choice(b"{}[]\",:\\\n\0\xFF").expect("there are some")),
                _ => record.extend_from_within(place..(place + random.usize(..40)).min(record.len())),
            }
            if record.is_empty() {
                break;
            }
        }
        conserves(&mut peeler, &record).unwrap_or_else(|why| panic!("seed {seed}: {why}: {}", record.escape_ascii()));
    }
}

/// An unescaped string says what `serde_json` says, wherever its escapes lie.
#[test]
fn unescaping_agrees_with_serde_json() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut peeler = Peeler::new(Limits::default());
    for _ in 0..5_000 {
        let parts = ["a", "plain text ", "\"", "\\", "\n", "\u{1F600}", "\u{e9}", "/", "\u{1}", "{\"k\":\"v\"}"];
        let text: String = (0..random.usize(..30)).map(|_| parts[random.usize(..parts.len())]).collect();
        let text = format!("-{text}");
        let record = subscription(&format!(r#"{{"message":{}}}"#, serde_json::to_string(&text).expect("JSON")));
        let found = peeler.peel(record.as_bytes(), None).expect("an event");
        let Some(Piece::Event(event)) = found.pieces().next() else { panic!("seed {seed}: no event of {text:?}") };
        assert_eq!(std::str::from_utf8(event.body), Ok(text.as_str()), "seed {seed}");
    }
}

/// What the scan calls whole, `serde_json` does too, and the other way round, over all small changes of a document.
#[test]
fn scanning_agrees_with_serde_json() {
    let document = br#"{"a":[1,{"b":null,"c":[]},"x\"y"],"d":{},"e":true}"#;
    let mut peeler = Peeler::new(Limits::default());
    for place in 0..document.len() {
        for byte in *b"{}[]\",: 1t\n" {
            let mut record = document.to_vec();
            record[place] = byte;
            let is_json = serde_json::from_slice::<serde_json::Value>(&record).is_ok_and(|value| value.is_object());
            let found = peeler.peel(&record, None).expect("something");
            let all: Vec<_> = found.pieces().collect();
            let is_whole = matches!(all.as_slice(), [Piece::Event(event)] if event.form == Form::Json);
            // A number is any run of its characters to the scan, so it may take more for whole than serde_json does.
            assert!(is_whole || !is_json, "{}", record.escape_ascii());
            assert!(is_json || !is_whole || record.contains(&b'1'), "{}", record.escape_ascii());
        }
    }
}

#[test]
fn empty_records() {
    for record in [&b""[..], b"\n", b" \r\n\t ", b"\xEF\xBB\xBF", &gzip(b""), &zstd(b"\n"), &zlib(b"")] {
        assert_eq!(refused(record, Limits::default()), "empty_record", "{}", record.escape_ascii());
    }
}

/// 1 GiB of zeros in a few MiB of gzip, made without the memory: one block of a MiB, over and over.
fn bomb() -> Vec<u8> {
    let zeros = vec![0; 1 << 20];
    let mut compress = flate2::Compress::new(flate2::Compression::fast(), false);
    let mut block = Vec::with_capacity(1 << 20);
    compress.compress_vec(&zeros, &mut block, flate2::FlushCompress::Full).expect("it packs");
    let header = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3].as_slice();
    // An empty last block, and checks that nobody reaches.
    [header, &block.repeat(1024), &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0x40]].concat()
}

/// The bounds of decompression hold, name themselves, and hold in memory too.
#[test]
fn bombs() {
    let bomb = bomb();
    let limits = Limits { decompressed_bytes_max: 24 << 20, ..Limits::default() };
    for (limits, code) in [
        (limits, "decompressed_bytes_max"),
        (Limits { ratio_max: 1, decompressed_bytes_max: 1 << 30, ..limits }, "ratio_max"),
    ] {
        let gzip_of_bomb = gzip(&bomb);
        let members = [bomb.as_slice(), &bomb].concat();
        for record in [&bomb, &gzip_of_bomb, &members] {
            let mut peeler = Peeler::new(limits);
            assert_eq!(peeler.peel(record, None).expect_err("it is a bomb").code, code);
            let held = peeler.held_bytes();
            // The bound itself, and the layer below where there is one.
            assert!(held <= (24 << 20) + 2 * bomb.len(), "{held} bytes are held");
            // And the memory comes back.
            for _ in 0..3 {
                peeler.peel(b"{}", None).expect("an event");
            }
            let held = peeler.held_bytes();
            assert!(held <= 9 << 20, "{held} bytes are kept");
        }
    }
    let zeros = vec![0; 30 << 20];
    for packed in [zlib(&zeros), zstd(&zeros)] {
        assert_eq!(refused(&packed, Limits { ratio_max: 20, ..limits }), "ratio_max");
        assert_eq!(refused(&packed, Limits { ratio_max: 1 << 20, ..limits }), "decompressed_bytes_max");
    }
    // What fills the bound to the last byte is no bomb. A size announced too small or too large is not believed.
    let exact = Limits { decompressed_bytes_max: 3000, ..Limits::default() };
    let text = vec![b'x'; 3000];
    for packed in [gzip(&text), zlib(&text), zstd(&text), [gzip(&text), gzip(b"")].concat()] {
        Peeler::new(exact).peel(&packed, None).expect("it fits");
        assert_eq!(refused(&packed, Limits { decompressed_bytes_max: 2999, ..exact }), "decompressed_bytes_max");
    }
    for announced in [0, u32::MAX] {
        let mut lying = gzip(&text);
        let size = lying.len() - 4;
        lying[size..].copy_from_slice(&announced.to_le_bytes());
        assert_eq!(refused(&lying, Limits::default()), "corrupt_gzip");
    }
}

/// Contexts are memory too: a long log group told to very many log events breaks the bound, not the machine.
#[test]
fn contexts_count() {
    let log_events = vec![r#"{"message":""}"#; 20_000].join(",");
    let record = subscription(&log_events).replace("/g", &"g".repeat(100_000));
    let mut peeler = Peeler::new(Limits { decompressed_bytes_max: 64 << 20, ..Limits::default() });
    assert_eq!(peeler.peel(record.as_bytes(), None).expect_err("it is too much").code, "decompressed_bytes_max");
    for _ in 0..3 {
        peeler.peel(b"{}", None).expect("an event");
    }
    let held = peeler.held_bytes();
    assert!(held <= 32 << 20, "{held} bytes are kept");
}

#[test]
fn events_per_record() {
    let limits = Limits { events_per_record_max: 3, ..Limits::default() };
    for (three, four) in [
        ("a\nb\nc\n", "a\nb\nc\nd\n"),
        ("[{},{},{}]", "[{},{},{},{}]"),
        ("version a\nb\nc", "version a\nb\nc\nd"),
        (r#"{"findings":[{},{},{}]}"#, r#"{"findings":[{},{},{},{}]}"#),
    ] {
        assert_eq!(Peeler::new(limits).peel(three.as_bytes(), None).expect("three fit").pieces().len(), 3);
        assert_eq!(refused(four.as_bytes(), limits), "events_per_record_max");
    }
}

/// The depth counts every envelope, and eight are allowed.
#[test]
fn depth() {
    let wrap = |inner: String| format!(r#"{{"detail-type":"t","source":"s","detail":{inner}}}"#);
    let eight = (0..8).fold("{}".to_owned(), |inner, _| wrap(inner));
    check(&eight, &["json {} [source=s] [detail_type=t]"]);
    assert_eq!(refused(wrap(eight.clone()).as_bytes(), Limits::default()), "depth_max");
    assert_eq!(refused(&gzip(eight.as_bytes()), Limits::default()), "depth_max");
    let packed = |times| (0..times).fold(b"x".to_vec(), |inner, _| gzip(&inner));
    check(packed(8), &["text x"]);
    assert_eq!(refused(&packed(9), Limits::default()), "depth_max");
    let none = Limits { depth_max: 0, ..Limits::default() };
    Peeler::new(none).peel(b"{}", None).expect("no envelope, no depth");
    assert_eq!(refused(b"[{}]", none), "depth_max");
    // A document may be as deep as it likes, whatever closes where.
    for depth in [63, 64, 65, 128, 129, 5_000, 200_000] {
        let deep =
            format!(r#"{{"a":{}{}}}"#, r#"[{"b":"#.repeat(depth / 2) + "[", "]".to_owned() + &"}]".repeat(depth / 2));
        check(&deep, &[&format!("json {deep}")]);
        let crossed = deep.replacen("}]", "]}", 1);
        check_odd(&crossed, &[&format!("text {crossed}")], &[(0, Oddity::BrokenJson)]);
    }
}

/// Many documents that are all broken at the far end are not scanned anew from each line. Scanned so, these four MiB would
/// take hours.
#[test]
fn broken_over_and_over() {
    for line in ["[1,\n", "{\"a\":\n", "[{\"a\":[\n"] {
        let record = line.repeat((4 << 20) / line.len());
        let limits = Limits { events_per_record_max: 1 << 21, ..Limits::default() };
        let mut peeler = Peeler::new(limits);
        let found = peeler.peel(record.as_bytes(), None).expect("lines of text");
        assert_eq!(found.pieces().len(), record.len() / line.len());
    }
}

/// The same record gives the same pieces, whatever was peeled before it.
#[test]
fn peeling_again() {
    let corpus = corpus();
    let mut peeler = Peeler::new(Limits::default());
    let alone: Vec<_> = corpus.iter().map(|record| peel(record).expect("pieces").0).collect();
    for (record, alone) in corpus.iter().zip(&alone).chain(corpus.iter().zip(&alone).rev()) {
        let found = peeler.peel(record, None).expect("pieces");
        assert_eq!(lines_of(&found), *alone);
    }
}

//! Files of questions: read in every form, linted, drafted, imported and exported.

use std::path::{Path, PathBuf};

use docent_eval::questions::{self, QuestionSet, QuestionsError};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn read(name: &str, text: &str) -> Result<QuestionSet, QuestionsError> {
    questions::read(&Files::new().write(name, text))
}

/// What is wrong, each as `line: message`.
fn faults(outcome: Result<QuestionSet, QuestionsError>) -> Vec<String> {
    match outcome {
        Err(QuestionsError::Faults(faults)) => {
            let line = |line: Option<usize>| line.map_or("-".to_owned(), |line| line.to_string());
            faults.iter().map(|fault| format!("{}: {}", line(fault.line), fault.message)).collect()
        }
        other => panic!("{other:?}"),
    }
}

const YAML: &str = "\
# for people
base_url: https://docs.example/
questions:
  - question: How do I change the port?
    pages: [local.md]
    answer:
      must:
        - --port
        - [8787, 8787]
  - id: ci
    turns: [How do I change the port?]
    question: |
      and in CI?

      - really
    pages: {ingest: 2, local: 0}
    refuse: false
  - question: How do I change the port?
    draft: true
";

#[test]
fn yaml_and_json_lines_say_the_same() {
    let yaml = read("q.yaml", &YAML.replace("[8787, 8787]", "['8787', port 8787]")).unwrap();
    assert_eq!(yaml.base_url.as_deref(), Some("https://docs.example/"));
    assert_eq!(yaml.lines, [Some(4), Some(10), Some(18)]);
    let ids: Vec<_> = yaml.questions.iter().map(|question| question.id.as_str()).collect();
    assert_eq!(ids, ["how-do-i-change-the-port", "ci", "how-do-i-change-the-port-2"]);
    assert_eq!(yaml.askable().count(), 2);
    assert_eq!(yaml.questions[1].pages.0.get("ingest"), Some(&2));

    let lines: Vec<_> = yaml.questions.iter().map(|question| serde_json::to_string(question).unwrap()).collect();
    let json = read("q.jsonl", &lines.join("\n")).unwrap();
    assert_eq!((json.questions, &json.hash), (yaml.questions, &yaml.hash));

    // What is not asked does not make it another set of questions.
    assert_eq!(read("q.jsonl", &lines[..2].join("\n")).unwrap().hash, yaml.hash);
    assert_ne!(read("q.jsonl", &lines[..1].join("\n")).unwrap().hash, yaml.hash);
}

#[test]
fn all_mistakes_of_a_file_are_told_with_their_lines() {
    let found = faults(read("q.yaml", YAML));
    assert!(
        found.len() == 1 && found[0].starts_with("8: question 1: ") && found[0].contains("numbers in quotes"),
        "{found:?}"
    );

    let broken = "\
- question: a
  id: same
- question: b
  id: same
- pages: [x]
- question: c

  tag: [x]
- question: ' '
- {question: d, id: with blank}
";
    let found = faults(read("q.yaml", broken));
    let expected = [
        ("3: ", "is also the id of the question of line 1"),
        ("5: ", "missing field `question`"),
        ("8: ", "unknown field `tag`, expected one of"),
        ("9: ", "the question is empty"),
        ("10: ", "the id has blanks"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (line, text)) in found.iter().zip(expected) {
        assert!(found.starts_with(line) && found.contains(text), "{found}");
    }

    let found = faults(read("q.jsonl", "{\"question\": \"a\"}\n\n{\"question\": 1}\n{\n"));
    assert!(found[0].starts_with("3: column 14: invalid type: integer") && found[1].starts_with("4: "), "{found:?}");
    assert!(faults(read("q.yaml", "- a: [\n"))[0].starts_with("2: "));
    assert_eq!(faults(read("q.yaml", "# nothing\n")), ["-: holds no question"]);
    assert_eq!(faults(read("q.yaml", "url: x\nquestions: [{question: a}]\n")).len(), 1);
    assert!(faults(read("q.txt", "1\ta\n"))[0].contains("--qrels"));
    assert!(matches!(questions::read(Path::new("missing.yaml")), Err(QuestionsError::File { .. })));
}

#[test]
fn topics_and_qrels_of_trec_are_questions_with_pages_and_passages() {
    let files = Files::new();
    let qrels = files.write("qrels", "1 0 guides/run 2\n1\t0\tguides/run#now\t1\n2 0 other -1\n3 0 unasked 1\n");
    let topics = [
        (
            "t.jsonl",
            "{\"id\": 1, \"text\": \"how to run\"}\n{\"id\": \"2\", \"text\": \"what else\", \"lang\": \"en\"}\n",
        ),
        ("t.tsv", "1\thow to run\n2\twhat else\n"),
        (
            "t.xml",
            "<top>\n<num> Number: 1\n<title> how to\nrun\n<desc> Description:\nx\n</top>\n\n<top><num>2</num><title>what else</title></top>\n",
        ),
    ];
    for (name, text) in topics {
        let set = questions::read_judged(&files.write(name, text), Some(&qrels)).unwrap();
        let [run, other] = set.questions.as_slice() else { panic!("{name}: {set:?}") };
        assert_eq!((run.id.as_str(), run.question.as_str()), ("1", "how to run"), "{name}");
        assert_eq!(run.pages.0.iter().collect::<Vec<_>>(), [(&"guides/run".to_owned(), &2)], "{name}");
        assert_eq!(run.passages.0.iter().collect::<Vec<_>>(), [(&"guides/run#now".to_owned(), &1)], "{name}");
        assert_eq!(other.pages.0.get("other"), Some(&0), "{name}");
    }
    let broken = files.write("broken", "1 0 x\n1 0 x one\n9 0 x 1\n");
    let found = faults(questions::read_judged(&files.write("t.tsv", "1 no tab\n2\tx\n"), Some(&broken)));
    assert_eq!(found.len(), 4, "{found:#?}");
}

/// Runs the command: exit code, standard output, standard error.
fn docent_eval(arguments: &[&str]) -> (i32, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_docent-eval"));
    let output = command.args(arguments).env_remove("CLOUDFLARE_API_TOKEN").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn docs(files: &Files) -> String {
    files.write("docs/index.md", "# Tool\n\nA tool for everybody who has a use for one, of whatever kind it may be.\n");
    files.write(
        "docs/run.md",
        "# Run\n\n## Change the port\n\nPass `--port` with the number of a port that is free, and start it again as before.\n\n\
         ## Why does it stop?\n\nIt stops when nobody has asked it anything for an hour, or when the machine goes to sleep.\n\n\
         ## Options\n\nThere are several of them, and each of them has a name that begins with two dashes.\n\n\
         ## Ports\n\nA port is a number that stands for a program, between one and sixty-five thousand or so.\n",
    );
    files.write(
        "docs/more.md",
        "## Change the port\n\nIn the settings file the name of it is `port`, and a number stands behind the sign.\n",
    );
    files.0.path().join("docs").display().to_string()
}

#[test]
fn lint_finds_what_would_make_wrong_numbers() {
    let files = Files::new();
    let folder = docs(&files);
    let wrong = files.write(
        "wrong.yaml",
        "\
- {id: a, question: Change the port?, pages: [runs], tags: [start]}
- {id: b, question: 'change  the port', passages: ['run#change-ports'], tags: [start]}
- {id: c, question: x, refuse: true, pages: [run], answer: {must: [y]}, tags: [strat]}
- {id: d, question: y, pages: {run: 0}, tags: [start]}
- {id: e, question: z, pages: [run], answer: {must: [--port, --host], must_not: [-PORT]}}
- {id: f, question: w, draft: true}
",
    );
    let (code, out, err) = docent_eval(&["lint", &wrong.display().to_string(), "--docs", &folder]);
    let expected = [
        "warning: c: the tag strat is used once; is start meant?",
        ":1: fault: a: the documentation has no page runs; is run meant?",
        ":2: fault: b: asks the same as the question in line 1",
        ":2: fault: b: the page run has no anchor #change-ports; is change-the-port meant?",
        ":3: fault: c: is to be refused, and has facts that the answer must have",
        ":3: fault: c: is to be refused, and has pages that answer it",
        ":4: fault: d: all pages have grade 0",
        ":5: fault: e: must say \"--port\", and must_not forbids that",
        ":5: warning: e: must say \"--host\", which is nowhere on the pages",
        "note: 1 drafts are not asked",
        "note: 1 questions are to be refused",
    ];
    for line in expected {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert_eq!((code, out.lines().count()), (1, expected.len()), "{out}{err}");
    let (_, json, _) = docent_eval(&["lint", &wrong.display().to_string(), "--docs", &folder, "--json"]);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(findings.iter().filter(|finding| finding["severity"] == "fault").count(), 7);
}

#[test]
fn the_projects_own_questions_fit_its_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (file, folder) = (root.join("questions.yaml"), root.join("../../docs"));
    let (code, out, _) = docent_eval(&["lint", &file.display().to_string(), "--docs", &folder.display().to_string()]);
    assert_eq!((code, out.as_str()), (0, ""));
    let set = questions::read(&file).unwrap();
    let count = |has: fn(&questions::Question) -> bool| set.askable().filter(|question| has(question)).count();
    assert!(count(|_| true) >= 70);
    assert!(count(|question| question.refuse) >= 20);
    assert!(count(|question| !question.turns.is_empty()) >= 14);
}

#[test]
fn drafts_are_questions_of_headings_and_pass_the_linter() {
    let files = Files::new();
    let folder = docs(&files);
    let known = files.write("known.jsonl", "{\"question\": \"what's a port\"}\n");
    let out = files.0.path().join("drafts.yaml").display().to_string();
    let known = known.display().to_string();
    assert_eq!(docent_eval(&["draft", &folder, "--known", &known, "--out", &out]).0, 0);
    let set = questions::read(Path::new(&out)).unwrap();
    let found: Vec<_> = set.questions.iter().map(|draft| (draft.question.as_str(), draft.pages.0.len())).collect();
    assert_eq!(found, [("How do I change the port?", 2), ("Why does it stop?", 1), ("What is a port?", 1)]);
    assert_eq!((set.askable().count(), set.questions[1].tags[0].as_str()), (0, "draft-faq"));
    assert_eq!(docent_eval(&["lint", &out, "--docs", &folder]).0, 0);
    let (code, _, err) = docent_eval(&["draft", &folder, "--out", &out]);
    assert!(code == 2 && err.contains("is there already"), "{err}");
    let one = docent_eval(&["draft", &folder, "--count", "1", "--seed", "7"]).1;
    assert_eq!(one, docent_eval(&["draft", &folder, "--count", "1", "--seed", "7"]).1);
    assert_eq!(one.matches("draft: true\n").count(), 1);
}

#[test]
fn feedback_and_traces_become_drafts_one_for_each_question() {
    let files = Files::new();
    let rows = files.write(
        "rows.jsonl",
        &[
            r#"{"message_id":"1","at":1,"rating":"up","reasons":"[]","comment":null,"question":"How to run?","turns":"[]","answer":"So [2].","sources":"[{\"n\":1,\"title\":\"\",\"heading\":\"\",\"url\":\"https://d.example/x\"},{\"n\":2,\"title\":\"\",\"heading\":\"\",\"url\":\"https://d.example/run#now\"}]","refused":0.0,"model":"m"}"#,
            r#"{"message_id":"2","at":2,"rating":"down","reasons":"[\"incorrect\"]","comment":"no\u001b[31m","question":"how to run","turns":[],"answer":"","sources":[],"refused":0}"#,
            r#"{"message_id":"3","at":3,"rating":"up","question":"Risotto?","refused":1}"#,
        ]
        .join("\n"),
    );
    let (code, yaml, err) = docent_eval(&["import", "--from", "feedback", &rows.display().to_string()]);
    assert_eq!((code, err.as_str()), (0, "2 questions\n"));
    let set = read("f.yaml", &yaml).unwrap();
    let [run, risotto] = set.questions.as_slice() else { panic!("{set:?}") };
    assert_eq!(run.passages.0.keys().collect::<Vec<_>>(), ["https://d.example/run#now"]);
    assert_eq!(run.pages.0.keys().collect::<Vec<_>>(), ["https://d.example/run"]);
    assert_eq!(run.source.as_deref(), Some("feedback: 1 up, 1 down, 1 incorrect; \"no [31m\""));
    assert!(run.draft && risotto.draft && risotto.refuse && !run.refuse);

    let trace = |question: &str| {
        format!(
            "{{\"question\":{question:?},\"queries\":[\"\"],\"generation\":1,\"spec\":\"\",\"candidates\":[],\"evidence\":0.5,\"refused_by\":\"model\",\"steps\":{{\"recalled_ms\":0,\"embedded_ms\":0,\"searched_ms\":0,\"first_word_ms\":0,\"answered_ms\":0}}}}"
        )
    };
    let lines = [trace("a b?"), trace("A b"), format!("{{\"trace\":{},\"answer\":\"\",\"sources\":[]}}", trace("c"))];
    let (_, yaml, err) =
        docent_eval(&["import", "--from", "trace", &files.write("t.jsonl", &lines.join("\n")).display().to_string()]);
    let set = read("t.yaml", &yaml).unwrap_or_else(|error| panic!("{error}{err}"));
    let sources: Vec<_> = set.questions.iter().map(|question| question.source.as_deref().unwrap()).collect();
    assert_eq!(sources, ["traces: asked 2 times, refused 2 times", "traces: asked 1 times, refused 1 times"]);

    // As `docent why --last 2 --json` prints them: with what the answer cites.
    let answered = trace("Which port?").replace("\"model\"", "null").replace(
        "\"candidates\":[]",
        r#""cited":[2],"candidates":[{"id":"1","url":"https://d.example/x","title":"","heading":"","ranks":[1],"scores":[0.5],"n":1},{"id":"2","url":"https://d.example/run#port","title":"","heading":"","ranks":[2],"scores":[0.4],"n":2}]"#,
    );
    let list: serde_json::Value = serde_json::from_str(&format!("[{answered},{}]", trace("c"))).unwrap();
    let list = files.write("why.json", &serde_json::to_string_pretty(&list).unwrap());
    let (_, yaml, err) = docent_eval(&["import", "--from", "trace", &list.display().to_string()]);
    let set = read("w.yaml", &yaml).unwrap_or_else(|error| panic!("{error}{err}"));
    let [port, refused] = set.questions.as_slice() else { panic!("{set:?}") };
    assert_eq!(port.passages.0.keys().collect::<Vec<_>>(), ["https://d.example/run#port"]);
    assert_eq!((port.pages.0.len(), refused.pages.0.len()), (1, 0));
    let cut = files.write("cut.json", "[\n{\"question\":");
    let (code, _, err) = docent_eval(&["import", "--from", "trace", &cut.display().to_string()]);
    assert!(code == 2 && err.contains("cut.json:2: "), "{err}");

    // Without a file it is read from the database, and says what it needs for that.
    let (code, _, err) = docent_eval(&["import", "--from", "feedback"]);
    assert!(code == 2 && err.contains("CLOUDFLARE_API_TOKEN"), "{err}");
}

#[test]
fn datasets_of_ragas_and_promptfoo_come_in_and_what_is_lost_is_named() {
    let files = Files::new();
    let ragas = files.write(
        "r.jsonl",
        "{\"user_input\": \"Q1\", \"reference\": \"R\", \"reference_context_ids\": [\"a\", \"b#c\"], \"rubrics\": {}}\n\
         {\"user_input\": [{\"content\": \"T\", \"type\": \"human\"}, {\"content\": \"A\", \"type\": \"ai\"}, {\"content\": \"Q2\", \"type\": \"human\"}]}\n",
    );
    let (_, yaml, err) = docent_eval(&["import", "--from", "ragas", &ragas.display().to_string()]);
    let set = read("r.yaml", &yaml).unwrap();
    assert_eq!(
        (set.questions[1].turns.as_slice(), set.questions[1].question.as_str()),
        (["T".to_owned()].as_slice(), "Q2")
    );
    assert_eq!((set.questions[0].answer.reference.as_deref(), set.questions[0].passages.0.len()), (Some("R"), 1));
    assert!(err.contains("not carried over: field rubrics (1 times)"), "{err}");

    let promptfoo = files.write(
        "p.yaml",
        "providers: [x]\ntests:\n- vars: {query: Q}\n  assert:\n  - {type: icontains, value: yes it is}\n  - {type: contains-any, value: 'a, b'}\n  \
         - {type: not-contains, value: no}\n  - {type: regex, value: 'x+'}\n- vars: {other: x}\n",
    );
    let (_, yaml, err) = docent_eval(&["import", "--from", "promptfoo", &promptfoo.display().to_string()]);
    let set = read("p.yaml", &yaml).unwrap();
    assert_eq!((set.questions[0].answer.must.len(), set.questions[0].answer.must_not.len()), (2, 1));
    assert!(err.contains("assertion regex (1 times)") && err.contains("tests without a variable"), "{err}");
}

mod round_trip {
    use std::collections::BTreeMap;

    use docent_eval::questions::{Expected, Fact, Grades, Question};
    use proptest::prelude::*;

    use super::{Files, docent_eval, questions};

    fn grades(anchor: &'static str) -> impl Strategy<Value = Grades> {
        prop::collection::btree_map("[a-z]{1,6}(/[a-z]{1,4})?", 0_u32..4, 0..3).prop_map(move |names| {
            Grades(names.into_iter().map(|(name, grade)| (format!("{name}{anchor}"), grade)).collect())
        })
    }

    prop_compose! {
        fn question()(
            text in "[a-zA-Zäß日'\"#:{}@%-][a-zA-Zäß日'\"#:{}@%\\- ]{0,40}[a-z?]",
            turns in prop::collection::vec("[a-z?: ]{0,10}[a-z]", 0..3),
            pages in grades(""),
            passages in grades("#at"),
            must in prop::collection::vec("[a-z0-9#:'\"{}-]{1,12}", 0..3),
            must_not in prop::collection::vec("[a-z0-9]{1,12}", 0..2),
            ways in prop::collection::vec("[a-z, ]{0,5}[a-z]", 2..4),
            reference in prop::option::of("[a-zA-Z .]{0,20}[a-z]"),
            refuse in any::<bool>(),
        ) -> Question {
            let must = must.into_iter().map(Fact::Text).chain([Fact::AnyOf(ways.iter().map(|way| way.trim().to_owned()).collect())]).collect();
            let must_not = must_not.into_iter().map(Fact::Text).collect();
            let turns = turns.into_iter().map(|turn| turn.trim().to_owned()).collect();
            Question { question: text, turns, pages, passages, answer: Expected { must, must_not, reference }, refuse, ..Question::default() }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// promptfoo's form holds everything, TREC's the questions and grades.
        #[test]
        fn what_a_format_can_hold_comes_back(all in prop::collection::vec(question(), 1..6)) {
            let files = Files::new();
            let unlike: BTreeMap<String, Question> = all.into_iter().enumerate().map(|(at, mut question)| {
                question.question = format!("{} {at}", question.question);
                question.id = format!("q{at}");
                (question.id.clone(), question)
            }).collect();
            let lines: Vec<_> = unlike.values().map(|question| serde_json::to_string(question).unwrap()).collect();
            let file = files.write("q.jsonl", &lines.join("\n")).display().to_string();
            let at = |name: &str| files.0.path().join(name).display().to_string();

            prop_assert_eq!(docent_eval(&["export", &file, "--to", "promptfoo", "--out", &at("p.yaml")]).0, 0);
            let (code, _, err) = docent_eval(&["import", "--from", "promptfoo", &at("p.yaml"), "--out", &at("back.yaml")]);
            prop_assert_eq!(code, 0, "{}", err);
            let back = questions::read(&files.0.path().join("back.yaml")).unwrap();
            prop_assert_eq!(&back.questions, &unlike.values().cloned().collect::<Vec<_>>());

            prop_assert_eq!(docent_eval(&["export", &file, "--to", "trec", "--out", &at("t")]).0, 0);
            let qrels = ["t.pages.qrels", "t.passages.qrels"].map(|name| std::fs::read_to_string(at(name)).unwrap_or_default()).concat();
            let qrels_file = files.write("all.qrels", &qrels);
            if !qrels.is_empty() {
                let back = questions::read_judged(&files.0.path().join("t.topics.tsv"), Some(&qrels_file)).unwrap();
                for question in &back.questions {
                    let asked = &unlike[&question.id];
                    let words = asked.question.split_whitespace().collect::<Vec<_>>().join(" ");
                    prop_assert_eq!((&question.question, &question.pages, &question.passages), (&words, &asked.pages, &asked.passages));
                }
            }
        }
    }
}

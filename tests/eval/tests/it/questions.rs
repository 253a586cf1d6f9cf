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

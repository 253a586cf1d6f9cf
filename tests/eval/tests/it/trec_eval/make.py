"""Writes the stored outputs: `python make.py [folder of the Cranfield collection]`.

trec_eval's own C code (9.0.8), as pytrec-eval-terrier 0.5.11 carries it, computes every number; the lines
have the form of `trec_eval -q -c`, with six decimals. As with -c, a query that the run lacks counts as 0.
With the folder, it also makes cranfield.qrels and cranfield.run: 40 questions, their judgments with the
collection's codes as grades, and a plain tf-idf ranking with rounded scores, so that there are many ties.
"""

import collections
import json
import math
import pathlib
import re
import sys

import pytrec_eval

HERE = pathlib.Path(__file__).parent
MEASURES = {"ndcg_cut.1,3,10", "recall.5,20", "P.5,10", "success.1,5", "recip_rank", "map"}


def read(name, field, kind):
    table = collections.defaultdict(dict)
    for line in (HERE / name).read_text().splitlines():
        fields = line.split()
        table[fields[0]][fields[2]] = kind(fields[field])
    return dict(table)


def evaluate(name):
    qrels, run = read(f"{name}.qrels", 3, int), read(f"{name}.run", 4, float)
    found = pytrec_eval.RelevanceEvaluator(qrels, MEASURES).evaluate(run)
    measures = sorted(next(iter(found.values())))
    zero = dict.fromkeys(measures, 0.0)
    values = {query: found.get(query, zero) for query in sorted(qrels)}
    lines = [f"{m:22}\t{q}\t{values[q][m]:.6f}" for q in values for m in measures]
    means = {m: sum(v[m] for v in values.values()) / len(values) for m in measures}
    lines += [f"{m:22}\tall\t{mean:.6f}" for m, mean in means.items()]
    (HERE / f"{name}.trec_eval").write_text("\n".join(lines) + "\n")


def cranfield(folder):
    read_lines = lambda name: [json.loads(line) for line in (folder / name).read_text().splitlines()]
    words = lambda text: re.findall(r"[a-z]+", text.lower())
    docs = {doc["id"]: collections.Counter(words(doc["text"])) for doc in read_lines("corpus.jsonl")}
    frequency = collections.Counter(word for doc in docs.values() for word in doc)
    idf = {word: math.log(len(docs) / n) for word, n in frequency.items()}
    grades = collections.defaultdict(list)
    for line in (folder / "cranqrel.orig").read_text().splitlines():
        query, doc, grade = line.split()
        grades[query].append((doc, max(int(grade), 0)))
    qrels, run = [], []
    for query in [query for query in read_lines("queries.jsonl") if query["id"] in grades][:40]:
        qrels += [f"{query['id']} 0 {doc} {grade}" for doc, grade in grades[query["id"]]]
        wanted = set(words(query["text"]))
        score = lambda doc: round(sum((1 + math.log(doc[w])) * idf[w] for w in wanted if w in doc))
        best = sorted(docs, key=lambda id: (-score(docs[id]), int(id)))[:30]
        run += [f"{query['id']} Q0 {id} {rank} {score(docs[id])} tfidf" for rank, id in enumerate(best, 1)]
    (HERE / "cranfield.qrels").write_text("\n".join(qrels) + "\n")
    (HERE / "cranfield.run").write_text("\n".join(run) + "\n")


if len(sys.argv) > 1:
    cranfield(pathlib.Path(sys.argv[1]))
evaluate("nasty")
evaluate("cranfield")

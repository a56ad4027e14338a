# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prometheus' text exposition format, version 0.0.4, read strictly: what is not
quite of it, or says a thing twice, is refused (Wrong)."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(r"(%s)(?:\{(.*)\})? ([^ ]+)" % NAME)
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "counter": ("",)}


class Wrong(Exception):
    pass


class Family:
    def __init__(self, name, text):
        self.name, self.help, self.type, self.samples = name, text, None, {}

    def value(self, suffix="", **labels):
        return self.samples[self.name + suffix, tuple(sorted(labels.items()))]


def labels_of(text, line):
    labels, position = {}, 0
    while text and position < len(text):
        match = LABEL.match(text, position)
        if not match or match[1] in labels:
            raise Wrong(f"labels: {line}")
        labels[match[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])
        position = match.end()
        if position < len(text):
            if text[position] != "," or position + 1 == len(text):
                raise Wrong(f"labels: {line}")
            position += 1
    return tuple(sorted(labels.items()))


def number(text, line):
    if text in ("+Inf", "-Inf", "NaN"):
        return float(text)
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", text):
        raise Wrong(f"value: {line}")
    return float(text)


def check_histogram(family):
    """Buckets of each series grow, end with +Inf, and that is the count."""
    series = {}
    for (name, labels), value in family.samples.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        part = series.setdefault(rest, {"buckets": []})
        if name.endswith("_bucket"):
            part["buckets"].append((float(dict(labels)["le"]), value))
        else:
            part[name.removeprefix(family.name)] = value
    for rest, part in series.items():
        ends = [end for end, _ in part["buckets"]]
        counts = [count for _, count in part["buckets"]]
        if (ends != sorted(set(ends)) or counts != sorted(counts) or not ends
                or ends[-1] != float("inf") or counts[-1] != part.get("_count")
                or "_sum" not in part):
            raise Wrong(f"histogram {family.name}{dict(rest)}: {part}")


def check(family):
    if family.type is None or not family.samples:
        raise Wrong(f"{family.name}: no type, or no samples")
    if (family.type == "counter") != family.name.endswith("_total"):
        raise Wrong(f"{family.name}: a {family.type} of that name")
    if family.type == "counter" and min(family.samples.values()) < 0:
        raise Wrong(f"{family.name}: a counter below 0")
    if family.type == "histogram":
        check_histogram(family)


def sample_take(family, line):
    match = SAMPLE.fullmatch(line)
    if not match or family is None or family.type is None:
        raise Wrong(f"a sample without a head: {line}")
    if match[1] not in [family.name + suffix for suffix in SUFFIXES[family.type]]:
        raise Wrong(f"not of {family.name}: {line}")
    key = match[1], labels_of(match[2], line)
    if key in family.samples:
        raise Wrong(f"twice: {line}")
    family.samples[key] = number(match[3], line)


def parse(text):
    """Families by their names."""
    families, family = {}, None
    if not text.endswith("\n"):
        raise Wrong("the last line does not end")
    for line in text.splitlines():
        if head := re.fullmatch(r"# HELP (%s) (\S.*)" % NAME, line):
            if head[1] in families:
                raise Wrong(f"begun twice: {line}")
            family = families[head[1]] = Family(head[1], head[2])
        elif head := re.fullmatch(r"# TYPE (%s) (gauge|counter|histogram)" % NAME, line):
            if family is None or head[1] != family.name or family.type:
                raise Wrong(f"no HELP before it: {line}")
            family.type = head[2]
        else:
            sample_take(family, line)
    for family in families.values():
        check(family)
    return families

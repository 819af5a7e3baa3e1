"""The findings of an audit, as text for a terminal."""

from shared.auditing.findings import Finding, Findings
from shared.auditing.rules import listed
from stack.table import paint, table


def report(findings: Findings) -> str:
    """Return a table of all rules, and a summary."""
    lines = table([("", "rule", "", "figures"), *map(_row, findings.findings)])
    coloured = [
        paint(line, "red") if finding.broken else line
        for finding, line in zip(findings.findings, lines[2:], strict=True)
    ]
    return "\n".join([*lines[:2], *coloured, "", summary(findings)])


def _row(finding: Finding) -> tuple[str, str, str, str]:
    rule, verdict = finding.rule, finding.verdict
    return rule.topic, rule.statement, "holds" if verdict.holds else "BROKEN", verdict.figures


def summary(findings: Findings) -> str:
    """Return a summary of a few lines."""
    examined = findings.examined
    which = "all there are" if findings.full else "those that changed since the last audit, or were not in order then"
    lines = [f"Sagas checked: {examined.checked} ({which})."]
    if examined.by_hand:
        lines.append(f"Made by hand, and sound: {listed(sorted(examined.by_hand))}.")
    if examined.unkept:
        lines.append(f"No longer kept by their saga service, and sound: {len(examined.unkept)}.")
    if examined.unchecked:
        busy = [f"{saga_id} ({why})" for saga_id, why in sorted(examined.unchecked.items())]
        lines.append(f"NOT CHECKED, since they have not ended: {listed(busy)}. To wait for them: --wait 60")
    if findings.broken:
        lines.append(paint(f"BROKEN: {', '.join(findings.broken)}", "red"))
    else:
        all_of_them = "" if not examined.unchecked else " for the sagas that were checked"
        lines.append(paint(f"All {len(findings.findings)} rules hold{all_of_them}.", "green"))
    return "\n".join(lines)

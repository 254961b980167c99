"""From a record to a verdict: who is faster, by how much, and whether that can be told."""

from assay.judge.verdict import Comparison, Purpose, Recommendation, Relation, Standing, TaskVerdict, Verdict, judge

__all__ = ["Comparison", "Purpose", "Recommendation", "Relation", "Standing", "TaskVerdict", "Verdict", "judge"]

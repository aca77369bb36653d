"""Questions asked together, the files that ask them, and what they are going to do."""

from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.plan import Plan, plan_study
from prunecheck.studies.study import Study
from prunecheck.studies.study_file import read_study

__all__ = ["CheckStudy", "Plan", "Study", "plan_study", "read_study"]

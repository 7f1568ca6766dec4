"""A graph of recipes as a pipeline of GitLab CI: one job a recipe, each after those it stands on.

GitLab has ``needs`` between jobs of a matrix only by all of it, so that each recipe is a job of its
own, and begins as soon as its own bases are published.
https://docs.gitlab.com/ci/yaml/
"""

import json
import shlex
from collections.abc import Iterator

from imagekit.errors import InputError
from imagekit.graph.export.work_plan import PublishTask, WorkPlan

_HEAD = """\
# Written by `imagekit ci gitlab`; write it again when recipes come or go.
stages: [publish, summary]

.publish:
  stage: publish
  image: {image}
  interruptible: false
  timeout: 3h
  # What another job has made: layers of bases, and packages.
  cache:
    key: imagekit
    paths: [.imagekit/]
  variables:
    XDG_CACHE_HOME: $CI_PROJECT_DIR/.imagekit/cache
    XDG_DATA_HOME: $CI_PROJECT_DIR/.imagekit/data
    # What an image's time is taken from.
    GIT_DEPTH: "0"
  id_tokens:
    SIGSTORE_ID_TOKEN:
      aud: sigstore
  artifacts:
    when: always
    paths: [outcomes/]
    expire_in: 30 days
"""
_JOB = """
{key}:
  extends: .publish
  needs: {needs}
  rules:
    - if: $CI_COMMIT_BRANCH == {branch}
      changes:
        paths: {paths}
    - if: $CI_PIPELINE_SOURCE == "web" || $CI_PIPELINE_SOURCE == "schedule"
  script:
    - mkdir -p outcomes
    - {command}
"""
_SUMMARY = """
summary:
  stage: summary
  image: {image}
  when: always
  rules:
    - if: $CI_COMMIT_BRANCH == {branch}
      when: always
  script:
    - mkdir -p outcomes
    - imagekit ci summary outcomes
"""


def gitlab_pipeline(plan: WorkPlan, *, branch: str, image: str) -> str:
    """Return the pipeline's file, which is YAML.

    Args:
        plan: the recipes, and where and how they are published.
        branch: pushes to it publish.
        image: what the jobs run in: it has imagekit, Buildah and Podman.

    Raises:
        InputError: a text has a meaning of its own there.
    """
    for text in (branch, image, *plan.options, *(task.path for task in plan.tasks)):
        if "$" in text or "*" in text:
            raise InputError(
                f"{text!r:.200} cannot stand in a pipeline",
                hint="name it without `$` and `*`, which GitLab takes for variables and patterns",
                code="ci/bad-text",
            )
    return "".join(_parts(plan, branch=branch, image=image))


def _parts(plan: WorkPlan, *, branch: str, image: str) -> Iterator[str]:
    tasks = {task.name: task for task in plan.tasks}
    yield _HEAD.format(image=json.dumps(image))
    for number, task in enumerate(plan.tasks, 1):
        command = f"imagekit publish {plan.publish_options} --json {shlex.quote(task.path)}"
        yield _JOB.format(
            key=json.dumps(f"publish {task.name}"),
            # A base that did not change has no job in this pipeline.
            needs=json.dumps([{"job": f"publish {name}", "optional": True} for name in task.bases]),
            branch=json.dumps(branch),
            paths=json.dumps([f"{task.path}/**/*" for task in _with_bases(task, tasks)]),
            command=json.dumps(f"{command} > outcomes/{number}.json"),
        )
    yield _SUMMARY.format(image=json.dumps(image), branch=json.dumps(branch))


def _with_bases(task: PublishTask, tasks: dict[str, PublishTask]) -> tuple[PublishTask, ...]:
    """Return a task, and all that it stands on: a change of those changes it as well."""
    found = {task.name: task}
    waiting = list(task.bases)
    while waiting:
        name = waiting.pop()
        if name in tasks and name not in found:
            found[name] = tasks[name]
            waiting += tasks[name].bases
    return tuple(found.values())

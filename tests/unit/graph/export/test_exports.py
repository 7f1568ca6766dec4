"""A graph as the files of engines: each recipe once, behind what it stands on."""

import json
from pathlib import Path

import pytest
import yaml

from imagekit.errors import InputError
from imagekit.graph.export.github_workflow import github_workflow
from imagekit.graph.export.gitlab_pipeline import gitlab_pipeline
from imagekit.graph.export.kubernetes_jobs import kubernetes_jobs
from imagekit.graph.export.work_plan import (
    PublishTask,
    WorkPlan,
    parse_tasks,
    plan_bytes,
    work_plan,
)
from imagekit.graph.recipe_graph import recipe_graph
from imagekit.recipe.tree import Recipes


def task(name: str, *bases: str) -> PublishTask:
    """Return a recipe of the plan."""
    return PublishTask(name=name, version="1", path=f"recipes/{name}", bases=bases)


PLAN = WorkPlan(
    levels=((task("base"), task("lone")), (task("middle", "base"),), (task("top", "middle"),)),
    paths=("recipes",),
    destination="r.example.org/apps",
    options=("--keyless", "--builder", "urn:a b"),
)


def test_a_plan_has_the_levels_of_the_graph(tmp_path: Path) -> None:
    """Paths are those that were named, and what is not asked for is no base."""
    for name, base in (("base", "scratch"), ("app", "{recipe: base}")):
        (tmp_path / name).mkdir()
        text = f'schema: 1\nname: {name}\nversion: "1"\nbase: {base}\n'
        (tmp_path / name / "recipe.yaml").write_text(text)
    (tmp_path / "imagekit.toml").touch()

    plan = work_plan(
        recipe_graph([tmp_path], Recipes()), paths=(str(tmp_path),), destination="r.org/a"
    )

    assert [[(t.name, t.bases) for t in level] for level in plan.levels] == [
        [("base", ())],
        [("app", ("base",))],
    ]
    assert {t.path for t in plan.tasks} == {f"{tmp_path}/base", f"{tmp_path}/app"}
    parsed = parse_tasks(plan_bytes(plan))
    assert [(t.name, t.bases) for t in parsed] == [(t.name, t.bases) for t in plan.tasks]


def test_a_line_feed_in_a_path_is_refused(tmp_path: Path) -> None:
    """It would be two lines of a list."""
    folder = tmp_path / "a\nb"
    folder.mkdir()
    (folder / "recipe.yaml").write_text('schema: 1\nname: a\nversion: "1"\nbase: scratch\n')

    with pytest.raises(InputError, match="not printed"):
        work_plan(recipe_graph([folder], Recipes()), paths=(str(folder),), destination="r.org/a")


def test_a_workflow_has_one_matrix_a_level() -> None:
    """Each waits for the earlier ones, goes on where a recipe of those failed, and stops none."""
    jobs = yaml.safe_load(github_workflow(PLAN, branch="main", version="1.2.3"))["jobs"]

    assert list(jobs) == ["plan", "level-1", "level-2", "level-3", "summary"]
    assert jobs["level-3"]["needs"] == ["plan", "level-1", "level-2"]
    for number in (1, 2, 3):
        job = jobs[f"level-{number}"]
        assert job["strategy"]["fail-fast"] is False
        assert job["strategy"]["matrix"]["recipe"] == (
            f"${{{{ fromJSON(needs.plan.outputs.level-{number}) }}}}"
        )
        assert "!cancelled()" in job["if"]
        (publish,) = [step for step in job["steps"] if step.get("name") == "Publish"]
        line = "imagekit publish --to r.example.org/apps --keyless --builder 'urn:a b' --json"
        assert line in publish["run"]


def test_no_script_of_a_workflow_has_an_expression() -> None:
    """What a push can write is a variable there, never a part of a program."""
    jobs = yaml.safe_load(github_workflow(PLAN, branch="main", version="1"))["jobs"]
    scripts = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]

    assert len(scripts) == 9
    assert [script for script in scripts if "${{" in script] == []


@pytest.mark.parametrize("text", ["--builder=${{ github.token }}", "--x=${{"])
def test_an_expression_in_an_option_is_refused(text: str) -> None:
    """It would be evaluated."""
    plan = WorkPlan(levels=PLAN.levels, paths=("r",), destination="r.org/a", options=(text,))

    with pytest.raises(InputError, match="cannot stand in a workflow"):
        github_workflow(plan, branch="main", version="1")


def test_a_pipeline_has_one_job_a_recipe() -> None:
    """Each needs its own bases, where they have a job, and runs when one of them changes."""
    jobs = yaml.safe_load(gitlab_pipeline(PLAN, branch="main", image="r.org/imagekit:1"))

    assert [key for key in jobs if key.startswith("publish ")] == [
        f"publish {t.name}" for t in PLAN.tasks
    ]
    top = jobs["publish top"]
    assert top["needs"] == [{"job": "publish middle", "optional": True}]
    assert top["rules"][0]["changes"]["paths"] == [
        "recipes/top/**/*",
        "recipes/middle/**/*",
        "recipes/base/**/*",
    ]
    assert top["script"][1] == (
        "imagekit publish --to r.example.org/apps --keyless --builder 'urn:a b' --json"
        " recipes/top > outcomes/4.json"
    )


def test_a_variable_in_a_pipeline_is_refused() -> None:
    """GitLab would put something else there."""
    with pytest.raises(InputError, match="cannot stand in a pipeline"):
        gitlab_pipeline(PLAN, branch="$CI_X", image="r.org/imagekit:1")


def test_jobs_of_kubernetes_are_one_a_level() -> None:
    """Each index has its recipe; pods are of an ordinary user, without a token of the cluster."""
    text = kubernetes_jobs(PLAN, image="r.org/imagekit:1", claim="recipes", secret="keys")
    jobs = list(yaml.safe_load_all(text))

    assert [job["spec"]["completions"] for job in jobs] == [2, 1, 1]
    pod = jobs[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["runAsUser"] == 1000
    script = container["command"][2]
    assert "0) recipe=recipes/base ;;\n1) recipe=recipes/lone ;;" in script
    assert script.endswith("--builder 'urn:a b' \"$recipe\"\n")
    assert json.dumps(container["envFrom"]) == '[{"secretRef": {"name": "keys"}}]'

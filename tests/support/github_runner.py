"""The jobs of a workflow of GitHub, done step by step as a runner would, on this machine.

Steps that install programs are passed over, as what they install is here; of actions those are
known that the tests' workflows use. An expression that the runner does not know is a fault.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_INSTALLING = frozenset({"Install"})


class Runner:
    """Runs a workflow for one push.

    Args:
        workflow: its text.
        checkout: the folder of the repository.
        work: where jobs and artifacts lie.
        values: what expressions come to, by their text.
        env: the environment of each step.
    """

    def __init__(
        self,
        workflow: str,
        checkout: Path,
        *,
        work: Path,
        values: Mapping[str, str],
        env: Mapping[str, str],
    ) -> None:
        self._workflow = yaml.safe_load(workflow)
        self._checkout, self._work, self._env = checkout, work, dict(env)
        self._values = dict(values)
        self.summary = ""
        """What the jobs wrote for people."""

    def run(self) -> dict[str, list[str]]:
        """Run all jobs in the order of the file; return the results of each, one a task."""
        results: dict[str, list[str]] = {}
        for name, job in self._workflow["jobs"].items():
            if not self._begins(job):
                results[name] = ["skipped"]
                continue
            matrix = job.get("strategy", {}).get("matrix", {"recipe": None})
            recipes = matrix["recipe"]
            tasks = [None] if recipes is None else json.loads(self._expanded(recipes))
            assert job.get("strategy", {}).get("fail-fast") is (None if recipes is None else False)
            results[name] = [self._task(name, job, place, it) for place, it in enumerate(tasks)]
            self._values[f"needs.{name}.result"] = (
                "failure" if "failure" in results[name] else "success"
            )
        return results

    def _begins(self, job: Mapping[str, Any]) -> bool:
        """Return whether a job's condition holds; each is a conjunction of comparisons."""
        if "if" not in job:
            return True
        match = _EXPRESSION.fullmatch(job["if"].strip())
        assert match is not None, job["if"]
        for part in " ".join(match[1].split()).split(" && "):
            if part == "!cancelled()":
                continue
            name, word, wanted = part.split()
            value = self._values[name]
            assert word in {"==", "!="}
            if (value == wanted.strip("'")) != (word == "=="):
                return False
        return True

    def _task(self, name: str, job: Mapping[str, Any], place: int, recipe: str | None) -> str:
        folder = self._work / f"{name}-{place}"
        folder.mkdir()
        self._values |= {"strategy.job-index": str(place), "matrix.recipe": recipe or ""}
        result = "success"
        for step in job["steps"]:
            always = "cancelled()" in str(step.get("if", ""))
            if result == "success" or always:
                done = self._step(step, folder)
                result = result if done else "failure"
        for key, text in job.get("outputs", {}).items():
            self._values[f"needs.{name}.outputs.{key}"] = self._expanded(text)
        return result

    def _step(self, step: Mapping[str, Any], folder: Path) -> bool:
        if "uses" in step:
            self._action(step["uses"].partition("@")[0], step.get("with", {}), folder)
            return True
        if step.get("name") in _INSTALLING:
            return True
        told = {name: folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in told.values():
            file.touch()
        own = {name: self._expanded(str(text)) for name, text in step.get("env", {}).items()}
        script = step["run"]
        assert "${{" not in script
        # A workflow installs its imagekit; here it is on the path.
        script = "\n".join(line for line in script.splitlines() if "pip install" not in line)
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
            cwd=folder / "checkout" if (folder / "checkout").is_dir() else folder,
            env={
                **self._env,
                **{name: self._expanded(str(t)) for name, t in self._workflow["env"].items()},
                **own,
                **{name: str(file) for name, file in told.items()},
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        with (folder / "log").open("a") as log:
            log.write(f"$ {script}\n{ran.stdout}{ran.stderr}")
        for line in told["GITHUB_OUTPUT"].read_text().splitlines():
            key, _, value = line.partition("=")
            self._values[f"steps.{step['id']}.outputs.{key}"] = value
        self.summary += told["GITHUB_STEP_SUMMARY"].read_text()
        return ran.returncode == 0

    def _action(self, name: str, given: Mapping[str, Any], folder: Path) -> None:
        artifacts = self._work / "artifacts"
        here = folder / "checkout" if (folder / "checkout").is_dir() else folder
        match name:
            case "actions/checkout":
                shutil.copytree(self._checkout, folder / "checkout", symlinks=True)
            case "actions/setup-python" | "actions/cache":
                pass
            case "actions/upload-artifact":
                source, target = here / given["path"], artifacts / self._expanded(given["name"])
                if source.is_dir():
                    shutil.copytree(source, target)
                else:
                    target.mkdir(parents=True)
                    shutil.copy(source, target)
            case "actions/download-artifact":
                pattern = given.get("pattern") or given["name"]
                target = here / given.get("path", ".")
                for artifact in sorted(artifacts.glob(pattern)):
                    shutil.copytree(artifact, target, dirs_exist_ok=True)
            case _:
                raise AssertionError(f"the runner does not know {name}")

    def _expanded(self, text: str) -> str:
        return _EXPRESSION.sub(lambda match: self._value(match[1].strip()), text)

    def _value(self, expression: str) -> str:
        inner = re.fullmatch(r"fromJSON\((.*)\)", expression)
        name = inner[1] if inner else expression
        # What a step has not written is empty.
        return self._values.get(name, "") if name.startswith("steps.") else self._values[name]

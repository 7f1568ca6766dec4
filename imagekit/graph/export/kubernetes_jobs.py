"""A graph of recipes as plain Jobs of Kubernetes: one Indexed Job a level, with rootless Buildah.

Kubernetes lets no Job wait for another one: the levels are applied one after the other, each when
the one before is complete (the comment at the top says how).
https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
"""

import json
import shlex
from collections.abc import Iterator

from imagekit.graph.export.work_plan import PublishTask, WorkPlan

_HEAD = """\
# Written by `imagekit ci kubernetes`. The pods run as an ordinary user and need user namespaces of
# their own. Apply the levels one after the other:
#   for level in {numbers}; do
#     kubectl apply --selector imagekit.dev/level=$level -f FILE
#     kubectl wait --for=condition=complete --timeout=6h job/imagekit-level-$level
#   done
"""
_SCRIPT = """\
set -eu
case "$JOB_COMPLETION_INDEX" in
{cases}
*) echo "there is no recipe $JOB_COMPLETION_INDEX" >&2; exit 64 ;;
esac
cd {folder}
exec imagekit publish {options} "$recipe"
"""


def kubernetes_jobs(plan: WorkPlan, *, image: str, claim: str, secret: str = "") -> str:
    """Return the manifests, which are YAML.

    Args:
        plan: the recipes, and where and how they are published.
        image: what the pods run: it has imagekit, Buildah and Podman, and a user 1000.
        claim: the PersistentVolumeClaim that has the folder of the recipes.
        secret: a Secret whose keys become variables of the pods (IMAGEKIT_KEY_PASSWORD ...).
    """
    return "".join(_parts(plan, image=image, claim=claim, secret=secret))


def _parts(plan: WorkPlan, *, image: str, claim: str, secret: str) -> Iterator[str]:
    numbers = range(1, len(plan.levels) + 1)
    yield _HEAD.format(numbers=" ".join(map(str, numbers)))
    for number, level in enumerate(plan.levels, 1):
        job = _job(plan, number, level, image=image, claim=claim, secret=secret)
        # JSON is YAML (YAML 1.2, 1.3).
        yield f"---\n{json.dumps(job, indent=2)}\n"


def _job(
    plan: WorkPlan,
    number: int,
    level: tuple[PublishTask, ...],
    *,
    image: str,
    claim: str,
    secret: str,
) -> dict[str, object]:
    cases = "\n".join(
        f"{index}) recipe={shlex.quote(task.path)} ;;" for index, task in enumerate(level)
    )
    script = _SCRIPT.format(cases=cases, folder="/recipes", options=plan.publish_options)
    container: dict[str, object] = {
        "name": "publish",
        "image": image,
        "command": ["/bin/sh", "-c", script],
        "env": [{"name": "HOME", "value": "/home/imagekit"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            # newuidmap(1) is setuid: rootless builds map further users by it.
            "allowPrivilegeEscalation": True,
            "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
            "seccompProfile": {"type": "Unconfined"},
        },
        "volumeMounts": [
            {"name": "recipes", "mountPath": "/recipes", "readOnly": True},
            {"name": "home", "mountPath": "/home/imagekit"},
        ],
    }
    if secret:
        container["envFrom"] = [{"secretRef": {"name": secret}}]
    labels = {"app.kubernetes.io/name": "imagekit", "imagekit.dev/level": str(number)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"imagekit-level-{number}", "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": len(level),
            "parallelism": min(len(level), 4),
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": {"fsGroup": 1000},
                    "containers": [container],
                    "volumes": [
                        {
                            "name": "recipes",
                            "persistentVolumeClaim": {"claimName": claim, "readOnly": True},
                        },
                        # Storage of containers wants a disk of the node itself.
                        {"name": "home", "emptyDir": {}},
                    ],
                },
            },
        },
    }

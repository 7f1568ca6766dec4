"""A graph of recipes as a workflow of GitHub Actions: one matrix a level.

The first job asks which recipes changed since the last push; each level publishes those of its
recipes, all of them whatever becomes of the others (``fail-fast: false``), and the last job makes
the table. Nothing that a push can write is put into a script: values go by the environment.
https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
"""

import json
from collections.abc import Iterator

from imagekit.errors import InputError
from imagekit.graph.export.work_plan import WorkPlan

# Actions by commit: a tag can be moved.
_CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
_PYTHON = "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065 # v5.6.0"
_CACHE = "actions/cache@0400d5f644dc74513175e3cd8d07132dd4860809 # v4.2.4"
_UPLOAD = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2"
_DOWNLOAD = "actions/download-artifact@634f93cb2916e3fdff6788551b99b062d0335ce0 # v5.0.0"
_HEAD = """\
# Written by `imagekit ci github`; where recipes come to stand on each other in more levels than
# there are jobs here, the first job says so: write it again then.
name: Images
on:
  push:
    branches: [{branch}]
  workflow_dispatch:
    inputs:
      since:
        description: Publish what changed since this revision; all recipes where it is empty
        default: ""
permissions: {{}}
concurrency:
  group: images-${{{{ github.ref }}}}
  cancel-in-progress: false
env:
  RECIPES: {paths}
jobs:
"""
_INSTALL = """\
      - uses: {checkout}
        with:
          persist-credentials: false
          fetch-depth: 0 # what changed, and the time of an image, are known from the history
      - uses: {python}
        with:
          python-version: "3.11"
"""
_PLAN = """\
  plan:
    name: Plan
    runs-on: ubuntu-24.04
    timeout-minutes: 15
    permissions:
      contents: read # to check out the recipes
    outputs:
{outputs}
    steps:
{install}
      - name: Install
        run: python -m pip install --quiet "imagekit=={version}"
      - name: Which recipes
        id: levels
        env:
          BEFORE: ${{{{ github.event_name == 'push' && github.event.before || inputs.since }}}}
        run: |
          read -r -a recipes <<< "$RECIPES"
          since=()
          # All of them where nothing is known of before: a new branch, a forced push.
          if [ -n "$BEFORE" ] && git cat-file -e "$BEFORE^{{commit}}" 2> /dev/null; then
            since=(--changed-since "$BEFORE")
          fi
          imagekit graph "${{recipes[@]}}" "${{since[@]}}" --json > graph.json
          if [ "$(jq '.levels | length' graph.json)" -gt {levels} ]; then
            echo "::error::recipes stand on each other in more levels: imagekit ci github again"
            exit 1
          fi
          for level in {numbers}; do
            jq -c --argjson level "$level" \\
              '"level-\\($level)=" + ([.recipes[] | select(.level == $level) | .path] | tojson)' \\
              --raw-output graph.json >> "$GITHUB_OUTPUT"
          done
      - uses: {upload}
        with:
          name: plan
          path: graph.json
"""
_LEVEL = """\
  level-{number}:
    name: Publish ${{{{ matrix.recipe }}}}
    needs: [{needs}]
    # Also where a recipe of an earlier level failed: not all stand on that one.
    if: >-
      ${{{{ !cancelled() && needs.plan.result == 'success'
      && needs.plan.outputs.level-{number} != '[]' }}}}
    runs-on: ubuntu-24.04
    timeout-minutes: 180
    permissions:
      contents: read # to check out the recipes
      packages: write # to push to ghcr.io
      id-token: write # to sign as this workflow, without a key
    strategy:
      fail-fast: false
      matrix:
        recipe: ${{{{ fromJSON(needs.plan.outputs.level-{number}) }}}}
    steps:
{install}
      - name: Install
        run: |
          sudo apt-get update -qq
          sudo apt-get install -qq --yes --no-install-recommends \\
            buildah podman mmdebstrap debian-archive-keyring uidmap runc
          python -m pip install --quiet "imagekit=={version}"
      - uses: {cache}
        with:
          path: |
            ~/.cache/imagekit
            ~/.local/share/imagekit
          key: imagekit-${{{{ github.run_id }}}}-{number}-${{{{ strategy.job-index }}}}
          restore-keys: |
            imagekit-${{{{ github.run_id }}}}-
            imagekit-
      - name: Publish
        env:
          RECIPE: ${{{{ matrix.recipe }}}}
          REGISTRY: {host}
          ACTOR: ${{{{ github.actor }}}}
          TOKEN: ${{{{ secrets.GITHUB_TOKEN }}}}
          JOB: ${{{{ strategy.job-index }}}}
        run: |
          umask 077
          REGISTRY_AUTH_FILE=$(mktemp)
          export REGISTRY_AUTH_FILE
          trap 'rm -f "$REGISTRY_AUTH_FILE"' EXIT
          echo '{{}}' > "$REGISTRY_AUTH_FILE"
          if [ "$REGISTRY" = ghcr.io ]; then
            podman login --username "$ACTOR" --password-stdin "$REGISTRY" <<< "$TOKEN"
          fi
          mkdir -p outcomes
          imagekit publish {options} --json "./$RECIPE" > "outcomes/{number}-$JOB.json"
      - uses: {upload}
        if: ${{{{ !cancelled() }}}}
        with:
          name: outcome-{number}-${{{{ strategy.job-index }}}}
          path: outcomes
"""
_SUMMARY = """\
  summary:
    name: Summary
    needs: [{needs}]
    if: ${{{{ !cancelled() && needs.plan.result == 'success' }}}}
    runs-on: ubuntu-24.04
    timeout-minutes: 15
    permissions: {{}}
    steps:
      - uses: {python}
        with:
          python-version: "3.11"
      - uses: {download}
        with:
          name: plan
      - uses: {download}
        with:
          path: outcomes
          pattern: outcome-*
          merge-multiple: true
      - name: Summary
        run: |
          python -m pip install --quiet "imagekit=={version}"
          mkdir -p outcomes
          imagekit ci summary outcomes --plan graph.json --format markdown >> "$GITHUB_STEP_SUMMARY"
"""


def github_workflow(plan: WorkPlan, *, branch: str, version: str) -> str:
    """Return the workflow's file, which is YAML.

    Args:
        plan: the recipes, and where and how they are published.
        branch: pushes to it publish.
        version: of imagekit, which the workflow installs.

    Raises:
        InputError: a text has a meaning of its own there.
    """
    for text in (branch, *plan.paths, *plan.options):
        if "${{" in text or (text in plan.paths and " " in text):
            raise InputError(
                f"{text!r:.200} cannot stand in a workflow",
                hint="a folder is named without blanks, and nothing with ${{",
                code="ci/bad-text",
            )
    return "".join(_parts(plan, branch=branch, version=version))


def _parts(plan: WorkPlan, *, branch: str, version: str) -> Iterator[str]:
    numbers = range(1, len(plan.levels) + 1)
    install = _INSTALL.format(checkout=_CHECKOUT, python=_PYTHON).rstrip("\n")
    names = [f"level-{number}" for number in numbers]
    yield _HEAD.format(branch=_scalar(branch), paths=_scalar(" ".join(plan.paths)))
    yield _PLAN.format(
        outputs="\n".join(f"      {n}: ${{{{ steps.levels.outputs.{n} }}}}" for n in names),
        install=install,
        version=version,
        levels=len(names),
        upload=_UPLOAD,
        numbers=" ".join(map(str, numbers)),
    )
    for number in numbers:
        yield _LEVEL.format(
            number=number,
            needs=", ".join(["plan", *names[: number - 1]]),
            install=install,
            version=version,
            cache=_CACHE,
            upload=_UPLOAD,
            host=_scalar(plan.destination.partition("/")[0]),
            options=plan.publish_options,
        )
    yield _SUMMARY.format(
        needs=", ".join(["plan", *names]), python=_PYTHON, download=_DOWNLOAD, version=version
    )


def _scalar(text: str) -> str:
    """Return a text as a scalar of YAML in double quotes, which JSON's texts are (YAML 1.2, 7.3.1).

    What GitHub takes for an expression was refused before.
    """
    return json.dumps(text)

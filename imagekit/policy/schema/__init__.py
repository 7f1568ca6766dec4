"""What a policy file may hold: its shape, for the parser and the JSON Schema alike.

The words are those that admins know: ``match.glob``, ``authorities``, ``keyless.identities`` and
``attestations`` of ClusterImagePolicy, ``signedIdentity`` of containers-policy.json, ``threshold``
of TUF. ``docs/policy.md`` explains every key.
"""

from imagekit.policy.schema.policy import POLICY, policy_schema

__all__ = ["POLICY", "policy_schema"]

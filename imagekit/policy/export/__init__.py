"""Policies in the words of other tools, and what these words cannot say.

Pure: a policy and a time go in, documents and losses come out. Where a demand of the policy has no
words in the target, that is a loss with a code; one that makes the target accept what the policy
refuses is for a person to allow.
"""

from imagekit.policy.export.formats import FORMATS, export_policy
from imagekit.policy.export.result import CODES, Document, Effect, Loss, PolicyExport

__all__ = ["CODES", "FORMATS", "Document", "Effect", "Loss", "PolicyExport", "export_policy"]

"""The words in which attachments tell where they are are taken apart as they were put together."""

from __future__ import annotations

import pytest

from ctconsole.kernel.hooks import Attachment
from ctconsole.kernel.interfaces import xdp_attachments
from ctconsole.model.hooked import Hooked, hooked


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (Attachment("tc", "ingress of eth0", 1), Hooked("eth0", "", "tc ingress")),
        (Attachment("tcx", "egress of lxc1 in my pod", 1), Hooked("lxc1", "my pod", "tcx egress")),
        (Attachment("netkit", "primary of lxc1", 1), Hooked("lxc1", "", "netkit primary")),
        (Attachment("tcx", "ingress of interface 7", 1), Hooked("interface 7", "", "tcx ingress")),
        (xdp_attachments({4: 9}, 1, "eth0 in pod")[0], Hooked("eth0", "pod", "xdp")),
        (xdp_attachments({6: 9}, 1, "eth0")[0], Hooked("eth0", "", "xdp generic")),
        (
            Attachment("cgroup", "connect4 of /sys/fs/cgroup", 1),
            Hooked("", "", "cgroup connect4 of /sys/fs/cgroup"),
        ),
        (Attachment("raw tracepoint", "", 1), Hooked("", "", "raw tracepoint")),
    ],
)
def test_an_attachment_tells_its_interface_and_its_hook(made: Attachment, found: Hooked) -> None:
    assert hooked(str(made)) == found

"""The client side of asyncssh: hosts, logins, connections and channels."""

import warnings

from cryptography.utils import CryptographyDeprecationWarning

from tunnelkeeper.core.library_version import check_asyncssh_version, import_failure
from tunnelkeeper.ssh.library_search import without_subprocesses

# asyncssh registers old ciphers, which a person may enable for an old server. Python would print
# cryptography's warnings about them: at this import, and whenever such a cipher or key is used.
warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)

with without_subprocesses():
    try:
        import asyncssh as _asyncssh  # the first import searches for shared libraries
    except ImportError as error:
        raise import_failure(str(error)) from error

check_asyncssh_version(getattr(_asyncssh, "__version__", "of an unknown version"))

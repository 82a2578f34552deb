"""rxnfp 0.1.0 (MIT): a BERT of chemical reactions and two fine-tunes of it, by their authors.

The package lies on PyPI. It is downloaded and never installed; its models are PyTorch's .bin files.
"""

import hashlib
import json
import subprocess
import sys
import zipfile
from itertools import product
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from tests.conftest import NO_INDEX

BASE, FINGERPRINTS, CLASSES = "bert_pretrained", "bert_ft", "bert_ft_10k_25s"
_SHA256 = "c5c1e818add6f34539a6b29bc680c47c9e7311e9383d1b34ce901481e34b58cf"
_INSIDE = "rxnfp/models/transformers/"
_PIECES = (
    r"(\%\([0-9]{3}\)|\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?"
    r"|>>?|\*|\$|\%[0-9]{2}|[0-9])"
)
"""What one token is: the pattern in rxnfp/tokenization.py."""
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def fetch_rxnfp(home: Path) -> Path:
    """The folder of its three models; skips the test where the package index is out of reach."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    limits = ["--quiet", "--retries", "1", "--timeout", "20", "--dest", str(home)]
    if subprocess.run([*pip, *limits, "rxnfp==0.1.0"], check=False).returncode:
        pytest.skip(NO_INDEX)
    (wheel,) = home.glob("*.whl")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == _SHA256
    with zipfile.ZipFile(wheel) as archive:
        inside = [name for name in archive.namelist() if name.startswith(_INSIDE)]
        archive.extractall(home, inside)
    wheel.unlink()
    return home / _INSIDE


def write_tokenizer(folder: Path) -> None:
    """The package's tokenizer, which is code there, as a tokenizer.json."""
    words = folder.joinpath("vocab.txt").read_text("utf-8").split()
    ids = {word: row for row, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), "removed", invert=True)
    ends = (("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.post_processor = processors.BertProcessing(*ends)
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {f"{token[1:-1].lower()}_token": token for token in _SPECIAL}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a model, without the name of its body before theirs."""
    file = folder / "pytorch_model.bin"
    state = torch.load(file, map_location="cpu", weights_only=True)
    return {name.removeprefix("bert."): tensor for name, tensor in state.items()}


def reactions() -> str:
    """A text of common reactions, one a line: esters, amides, Suzuki couplings."""
    acids = ("CC(=O)", "CCC(=O)", "O=C(c1ccccc1)", "CC(C)C(=O)")
    rests = ("CC", "CCC", "C(C)C", "Cc1ccccc1")
    lines = [
        f"{acid}O.{atom}{rest}>>{acid}{atom}{rest}"
        for acid, rest, atom in product(acids, rests, "ON")
    ]
    lines += [
        f"Brc1ccc({rest})cc1.OB(O)c1ccccc1>>c1ccc(-c2ccc({rest})cc2)cc1"
        for rest in ("C", "OC", "F", "C(F)(F)F")
    ]
    return "\n".join(lines) + "\n"

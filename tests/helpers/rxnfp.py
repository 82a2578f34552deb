"""rxnfp 0.1.0 (MIT): a BERT of chemical reactions and two fine-tunes of it, by their authors.

The package lies on PyPI. It is downloaded and never installed; its models are PyTorch's .bin files.

python -m tests.helpers.rxnfp FOLDER
"""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from itertools import product
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

BASE, FINGERPRINTS, CLASSES = "bert_pretrained", "bert_ft", "bert_ft_10k_25s"
_SHA256 = "c5c1e818add6f34539a6b29bc680c47c9e7311e9383d1b34ce901481e34b58cf"
_INSIDE = "rxnfp/models/transformers/"
_PIECES = (
    r"(\%\([0-9]{3}\)|\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?"
    r"|>>?|\*|\$|\%[0-9]{2}|[0-9])"
)
"""What one token is: the pattern in rxnfp/tokenization.py."""
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def fetch_rxnfp(home: Path) -> bool:
    """Write its three models into a folder, each with its tokenizer, and reactions.txt; returns
    False where the package index is out of reach."""
    home.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    limits = ["--quiet", "--retries", "1", "--timeout", "20", "--dest", str(home)]
    if subprocess.run([*pip, *limits, "rxnfp==0.1.0"], check=False).returncode:
        return False
    (wheel,) = home.glob("*.whl")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == _SHA256
    with zipfile.ZipFile(wheel) as archive:
        inside = [name for name in archive.namelist() if name.startswith(_INSIDE)]
        archive.extractall(home, inside)
    wheel.unlink()
    for name in (BASE, FINGERPRINTS, CLASSES):
        shutil.rmtree(home / name, ignore_errors=True)
        (home / _INSIDE / name).rename(home / name)
        write_tokenizer(home / name)
    shutil.rmtree(home / "rxnfp")
    (home / "reactions.txt").write_text(reactions(), "utf-8")
    return True


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
    """A text of common reactions, one a line: esters, amides, couplings, reductions, protection."""
    acids = ("CC(=O)", "CCC(=O)", "O=C(c1ccccc1)", "CC(C)C(=O)")
    rests = ("CC", "CCC", "C(C)C", "Cc1ccccc1")
    lines = [
        f"{acid}O.{atom}{rest}>>{acid}{atom}{rest}"
        for acid, rest, atom in product(acids, rests, "ON")
    ]
    for rest in ("C", "OC", "F", "C(F)(F)F"):
        ring = f"c1ccc({rest})cc1"
        lines += [
            f"Br{ring}.OB(O)c1ccccc1>>c1ccc(-c2ccc({rest})cc2)cc1",
            f"O=[N+]([O-]){ring}>>N{ring}",
            f"CC(=O){ring}>>CC(O){ring}",
            f"N{ring}.CC(C)(C)OC(=O)OC(=O)OC(C)(C)C>>CC(C)(C)OC(=O)N{ring}",
            f"N{ring}.CS(=O)(=O)Cl>>CS(=O)(=O)N{ring}",
            f"O{ring}.CI>>CO{ring}",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if not fetch_rxnfp(Path(sys.argv[1])):
        sys.exit("The package index is out of reach.")

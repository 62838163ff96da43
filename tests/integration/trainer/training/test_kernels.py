"""The faster step is the same step: loss and every gradient as transformers and PEFT compute them, in fp32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, MistralConfig, Qwen3Config
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from trl import DPOConfig, DPOTrainer

from burnish_trainer.data.tokens import MASKED
from burnish_trainer.worker.kernels import speed_up
from burnish_trainer.worker.kernels.attention import NAME
from burnish_trainer.worker.kernels.lora import FusedLora, fuse_lora
from burnish_trainer.worker.kernels.loss import label_log_probabilities
from burnish_trainer.worker.kernels.norm import fuse_norms
from burnish_trainer.worker.kernels.rows import end_to_end
from burnish_trainer.worker.kernels.trainer import PairLossTrainer

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
}
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Batch = dict[str, torch.Tensor]


def lora_model(config: Any, **lora: Any) -> Any:
    """A random model with LoRA whose B is not zero, the same every time, in fp32."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    wrapped = get_peft_model(model, LoraConfig(**{"r": 4, "lora_alpha": 12, "target_modules": PROJECTIONS, **lora}))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return wrapped.train()


def batch(lengths: tuple[int, ...] = (7, 12, 3, 9), prompt: int = 2) -> Batch:
    """Rows padded on the right, the first `prompt` tokens of each without a label."""
    torch.manual_seed(1)
    ids = torch.randint(3, 97, (len(lengths), max(lengths)))
    present = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    labels = ids.masked_fill(~present, MASKED)
    labels[:, :prompt] = MASKED
    return {"input_ids": ids.masked_fill(~present, 2), "attention_mask": present.long(), "labels": labels}


def loss_and_gradients(model: Any, inputs: Batch, **arguments: Any) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = model(**inputs, **arguments).loss
    loss.backward()
    return loss.item(), {
        name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None
    }


def same(one: tuple[float, dict[str, torch.Tensor]], other: tuple[float, dict[str, torch.Tensor]]) -> None:
    assert one[0] == pytest.approx(other[0], rel=1e-6)
    assert set(one[1]) == set(other[1])
    for name, gradient in other[1].items():
        torch.testing.assert_close(
            one[1][name], gradient, rtol=1e-4, atol=1e-6, msg=lambda text, at=name: f"{at}: {text}"
        )


@pytest.mark.parametrize("config", [LlamaConfig, Qwen3Config])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("items", [None, 40], ids=["mean", "over the whole step"])
def test_loss_and_every_gradient_are_those_of_the_full_computation(
    config: Callable[..., Any], device: Any, items: int | None
) -> None:
    """`cuda` only chooses the path here: padded rows and the stock attention, which a CPU computes too."""
    arguments = {} if items is None else {"num_items_in_batch": torch.tensor(items)}
    stock = loss_and_gradients(lora_model(config(**SIZES)), batch(), **arguments)
    model = lora_model(config(**SIZES))
    assert speed_up(model, device)
    assert (model.config._attn_implementation == NAME) == (device == "cpu")
    same(loss_and_gradients(model, batch(), **arguments), stock)


def test_two_parts_of_a_step_add_up_to_the_whole_step() -> None:
    """Weighed by tokens, as the trainer asks for it when it accumulates gradients: not the mean of two means."""
    model = lora_model(LlamaConfig(**SIZES))
    speed_up(model, "cpu")
    whole_batch = batch()
    tokens = torch.tensor(int((whole_batch["labels"][:, 1:] != MASKED).sum()))
    whole = loss_and_gradients(model, whole_batch, num_items_in_batch=tokens)
    parts = [
        loss_and_gradients(model, {key: value[rows] for key, value in whole_batch.items()}, num_items_in_batch=tokens)
        for rows in (slice(0, 1), slice(1, 4))
    ]
    summed = {name: parts[0][1][name] + parts[1][1][name] for name in whole[1]}
    same((parts[0][0] + parts[1][0], summed), whole)


def test_rows_do_not_see_each_other() -> None:
    model = lora_model(LlamaConfig(**SIZES))
    speed_up(model, "cpu")
    first, changed = batch(), batch()
    changed["input_ids"][1:] = changed["input_ids"][1:].flip(0)
    only_first = torch.full_like(first["labels"], MASKED)
    only_first[0] = first["labels"][0]
    losses = [model(**{**inputs, "labels": only_first}).loss.item() for inputs in (first, changed)]
    assert losses[0] == losses[1]


def test_evaluation_needs_no_gradient() -> None:
    model = lora_model(LlamaConfig(**SIZES))
    with torch.no_grad():
        stock = model(**batch()).loss
        speed_up(model, "cpu")
        torch.testing.assert_close(model.eval()(**batch()).loss, stock)


@pytest.mark.parametrize("config", [{"sliding_window": 4}, {"sliding_window": None, "attention_dropout": 0.5}])
def test_attention_that_is_not_plainly_causal_keeps_its_own(config: dict[str, Any]) -> None:
    stock, fast = (lora_model(MistralConfig(**SIZES, **config)) for _ in range(2))
    assert speed_up(fast, "cpu")
    assert fast.config._attn_implementation != NAME
    results = []
    for model in (stock, fast):
        torch.manual_seed(5)
        results.append(loss_and_gradients(model, batch()))
    same(results[1], results[0])


def test_an_unknown_head_keeps_its_own_loss() -> None:
    """Gemma 2 bends its logits: a loss taken from the head alone would be another one."""
    from transformers import Gemma2Config

    config = Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=5.0, attn_implementation="eager")
    stock, fast = lora_model(config), lora_model(config)
    assert not speed_up(fast, "cpu")
    same(loss_and_gradients(fast, batch()), loss_and_gradients(stock, batch()))


@pytest.mark.parametrize("lora", [{"use_dora": True}, {"lora_dropout": 0.1}, {"lora_bias": True}])
def test_lora_that_is_not_plain_is_left_alone(lora: dict[str, Any]) -> None:
    assert fuse_lora(lora_model(LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True), **lora)) == 0


def test_a_disabled_or_merged_adapter_is_what_peft_makes_of_it() -> None:
    model = lora_model(LlamaConfig(**SIZES))
    inputs = batch()["input_ids"]
    expected = model(inputs).logits
    with model.disable_adapter():
        base = model(inputs).logits
    assert fuse_lora(model) == 2 * len(PROJECTIONS)
    assert all(isinstance(module, FusedLora) for name, module in model.named_modules() if name.endswith("_proj"))
    torch.testing.assert_close(model(inputs).logits, expected)
    with model.disable_adapter():
        assert torch.equal(model(inputs).logits, base)
    model.merge_adapter()
    torch.testing.assert_close(model(inputs).logits, expected, rtol=1e-4, atol=1e-5)


def test_a_frozen_second_adapter_gets_no_gradient() -> None:
    model = lora_model(LlamaConfig(**SIZES))
    model.add_adapter("ref", LoraConfig(r=4, target_modules=PROJECTIONS, init_lora_weights=False))
    fuse_lora(model)
    model.base_model.set_adapter("ref", inference_mode=True)
    assert not model(batch()["input_ids"]).logits.requires_grad


def test_norms_round_where_transformers_rounds() -> None:
    torch.manual_seed(0)
    norm = LlamaRMSNorm(64, eps=1e-5)
    norm.weight.data.normal_().requires_grad_(False)
    norm = norm.bfloat16().requires_grad_(False)
    x = torch.randn(3, 5, 64).bfloat16().requires_grad_()
    upstream = torch.randn(3, 5, 64).bfloat16()
    expected = norm(x)
    (expected_gradient,) = torch.autograd.grad(expected, x, upstream)
    assert fuse_norms(norm) == 1
    (gradient,) = torch.autograd.grad(norm(x), x, upstream)
    assert torch.equal(norm(x), expected)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("tokens", [0, 1, 4, 9])
def test_log_probabilities_in_chunks_are_the_whole_ones(tokens: int) -> None:
    """And their gradients, each token weighed by another number."""
    torch.manual_seed(0)
    hidden, head = torch.randn(tokens, 6, requires_grad=True), torch.randn(11, 6)
    targets, weights = torch.randint(0, 11, (tokens,)), torch.randn(tokens)
    expected = -torch.nn.functional.cross_entropy(hidden @ head.T, targets, reduction="none")
    found = label_log_probabilities(hidden, head, targets, chunk_elements=4 * 11)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        *(torch.autograd.grad((value * weights).sum(), hidden) for value in (found, expected)), strict=True
    ):
        torch.testing.assert_close(one, other)


PAIRS = ((5, 4, 2), (5, 3, 6), (2, 1, 1), (9, 2, 3))  # tokens of prompt, chosen and rejected


def pairs(shared: bool = True) -> Batch:
    """As TRL's collator lays pairs out: all chosen, then all rejected. The first two pairs have one prompt; not shared: none do."""
    torch.manual_seed(2)
    prompts = [torch.randint(3, 97, (2 if not shared else 1, prompt)) for prompt, _, _ in PAIRS]
    if shared:
        prompts[1] = prompts[0]
    rows, masks = [], []
    for side in (1, 2):
        for prompt, lengths in zip(prompts, PAIRS, strict=True):
            rows.append(torch.cat([prompt[(side - 1) % len(prompt)], torch.randint(3, 97, (lengths[side],))]))
            masks.append(torch.tensor([0] * lengths[0] + [1] * lengths[side]))
    pad = torch.nn.utils.rnn.pad_sequence
    present = [torch.ones_like(row) for row in rows]
    return {
        "input_ids": pad(rows, batch_first=True, padding_value=2),
        "attention_mask": pad(present, batch_first=True),
        "completion_mask": pad(masks, batch_first=True),
    }


def stock_log_probabilities(model: Any, inputs: Batch) -> torch.Tensor:
    """From whole logits, each row by itself."""
    found = []
    for ids, present, wanted in zip(*inputs.values(), strict=True):
        length = int(present.sum())
        logits = model(input_ids=ids[None, :length]).logits[0, :-1].log_softmax(-1)
        each = logits.gather(1, ids[1:length, None]).squeeze(1)
        found.append(each[wanted[1:length].bool()].sum())
    return torch.stack(found)


@pytest.mark.parametrize("config", [LlamaConfig, Qwen3Config])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("shared", [True, False])
def test_log_probabilities_and_every_gradient_are_those_of_each_row_by_itself(
    config: Callable[..., Any], device: Any, shared: bool
) -> None:
    """`cuda` only chooses the path, as above. A shared prompt is gone through once and serves all its completions."""
    results = []
    for fast in (False, True):
        model = lora_model(config(**SIZES))
        if fast:
            assert speed_up(model, device)
            found = model(**pairs(shared)).log_probabilities
        else:
            found = stock_log_probabilities(model, pairs(shared))
        loss = (found * torch.linspace(-0.01, 0.02, len(found))).sum()
        loss.backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
        results.append((loss.item(), gradients, found))
    stock, fast_one = results
    torch.testing.assert_close(fast_one[2], stock[2], rtol=1e-5, atol=1e-5)
    same(fast_one[:2], stock[:2])


def test_a_shared_prompt_is_laid_out_once() -> None:
    inputs = pairs()
    prompts = [prompt for prompt, _, _ in PAIRS] * 2
    layout = end_to_end(inputs["input_ids"], inputs["attention_mask"], prompts)
    completions = sum(chosen + rejected for _, chosen, rejected in PAIRS)
    assert layout.inputs["input_ids"].shape == (1, 5 + 2 + 9 + completions)
    laid = layout.inputs["input_ids"].flatten()
    present = inputs["attention_mask"].bool()
    assert torch.equal(laid[layout.place][present], inputs["input_ids"][present])
    columns = torch.arange(inputs["input_ids"].shape[1]).expand_as(layout.place)
    assert torch.equal(layout.inputs["position_ids"].flatten()[layout.place][present], columns[present])


def test_completions_of_one_prompt_do_not_see_each_other() -> None:
    model = lora_model(LlamaConfig(**SIZES))
    speed_up(model, "cpu")
    first, changed = pairs(), pairs()
    rejected = changed["input_ids"][4]
    rejected[5:7] = (rejected[5:7] + 1) % 97
    before, after = (model(**inputs).log_probabilities for inputs in (first, changed))
    assert before[4] != after[4]
    assert torch.equal(before[[0, 1, 5]], after[[0, 1, 5]])


def test_the_pair_loss_and_its_figures_are_trl_s(tiny_base: Path, tmp_path: Path) -> None:
    """Loss, every gradient and every figure that is kept, of one batch with a reference that is not the policy."""
    results = []
    for fast in (False, True):
        model = lora_model(LlamaConfig(**SIZES))
        if fast:
            assert speed_up(model, "cpu")
        trainer = pair_trainer(PairLossTrainer if fast else DPOTrainer, model, tiny_base, tmp_path)
        inputs = pairs() | {"ref_chosen_logps": -torch.arange(9.0, 13), "ref_rejected_logps": -torch.arange(12.0, 16)}
        loss = trainer.compute_loss(model.train(), inputs)
        loss.backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
        results.append(((loss.item(), gradients), {k: v[0] for k, v in trainer._metrics["train"].items()}))
    (stock, stock_figures), (found, figures) = results
    same(found, stock)
    assert set(figures) >= {"rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins"}
    assert figures == pytest.approx({name: stock_figures[name] for name in figures}, rel=1e-4)


def pair_trainer(kind: Any, model: Any, base: Path, folder: Path) -> Any:
    """One of TRL's make, on pairs that are token ids already."""

    class Prepared(kind):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    arguments = DPOConfig(output_dir=str(folder), report_to="none", use_cpu=True, bf16=False, beta=0.3, max_length=None)
    rows = Dataset.from_list([{"prompt_ids": [5], "chosen_ids": [6], "rejected_ids": [7]}])
    trainer = Prepared(
        model=model, args=arguments, train_dataset=rows, processing_class=AutoTokenizer.from_pretrained(base)
    )
    trainer.precompute_ref_logps = True
    return trainer

"""Expected output: of the guide's snippets by section, and of our programs by capability."""

from __future__ import annotations

SECTIONS: dict[str, tuple[str, ...]] = {
    "2": (
        "AI learns patterns from data, then uses those patterns to make predictions or decisions on new data.",
    ),
    "3": (
        "interaction.created",
        "step.start",
        "thought_signature",
        "step.delta",
        "step.stop",
        "interaction.completed",
    ),
    "4": ("1", "There are 8 paws in your house. 2 dogs × 4 paws = 8 paws."),
    "4-stateless": ("There are 8 paws in your house. 2 dogs × 4 paws = 8 paws.",),
    "5": (
        "The local image displays a pipe organ while the remote audio file is a sample MP3 clip",
    ),
    "6": (),
    "7": (
        "recipe_name",
        "Classic Banana Bread",
        "3 ripe bananas, mashed",
        "Pinch of salt",
        "prep_time_minutes",
        "15",
    ),
    "8": (
        "Spain won Euro 2024, defeating England 2-1 in the final.",
        "uefa.com",
        "https://www.uefa.com/euro2024",
    ),
    "9": ("get_current_temperature", "The temperature in London is currently 22°C."),
    "9-stateless": ("get_current_temperature", "The temperature in London is currently 22°C."),
    "10": ("env_", "fibonacci.txt", "0, 1, 1, 2, 3, 5, 8, 13, 21", "2584, 4181"),
    "11": (
        "Started background task: v1_",
        "Status: in_progress",
        "Status: completed",
        "Artificial intelligence has transformed modern healthcare in several",
    ),
}
"""By section of the guide: texts from its responses, which the snippets of all languages print."""

PICTURES = {
    "python-6": "generated_image.png",
    "javascript-6": "generated_image.png",
    "picture": "picture.png",
}
"""By name: the PNG that a program writes. The guide's curl command of section 6 prints it."""

CAPABILITIES: dict[str, str] = {
    "text": """\
completed thought model_output
AI learns patterns from data, then uses those patterns to make predictions or decisions on new data.
""",
    "streaming": """\
AI works by learning from examples instead of following fixed rules.
interaction.completed completed
""",
    "stateful": """\
3 dogs in one house, that sounds like a lively home! What are their names?
There are 12 paws in your house. 3 dogs × 4 paws = 12 paws.
""",
    "stateless": """\
user_input thought model_output user_input thought model_output user_input thought model_output
There are 12 paws in your house. 3 dogs × 4 paws = 12 paws.
""",
    "media": """\
I received 1 image file and 1 audio file and 1 video file and 1 document file. \
You said: “What is all this?”. This is a default answer from evalkit serve.
""",
    "picture": "image/png\n",
    "structured": "Classic Banana Bread, 15 minutes\n",
    "search": """\
UEFA Euro 2024 winner same
Spain won Euro 2024, defeating England 2-1 in the final. [uefa.com](https://www.uefa.com/euro2024)
""",
    "functions": """\
requires_action
completed
The temperature in London is currently 22°C. The temperature in Paris is currently 25°C.
""",
    "functions_stateless": """\
user_input thought function_call function_result function_call function_result thought model_output
The temperature in London is currently 22°C. The temperature in Paris is currently 25°C.
""",
    "functions_streamed": """\
requires_action
completed
The temperature in London is currently 22°C.
""",
    "agent": """\
thought code_execution_call code_execution_result code_execution_call code_execution_result model_output
0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181
completed same
""",
    "background": """\
in_progress
in_progress
in_progress
completed
Artificial intelligence has transformed modern healthcare in several ways.
""",
    "lifecycle": """\
in_progress
cancelled
cancelled
404
""",
    "resume": """\
same
user_input thought model_output
Explain how AI works
""",
}
"""By capability: the complete output of our programs in every language."""

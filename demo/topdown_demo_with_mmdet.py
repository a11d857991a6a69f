"""MMPose's top-down demo, over limn: python demo/topdown_demo_with_mmdet.py --help"""

from limn import demos

if __name__ == "__main__":
    demos.main(demos.topdown)
